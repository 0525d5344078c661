"""Data types that pass between the packages: frozen dataclasses with checked shapes, and protocols.

`Utterance` comes out of a corpus, `Trajectories` out of a policy, a `RewardFunction` turns the
second into scores and an `Animator` turns speech into motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_RATE_HZ = 16_000
FRAME_RATE_HZ = 30
N_CHANNELS = 52

# Streams of motion tokens, in the order in which the tokenizer writes them in a chunk, with the
# region of the head (`esarm_env.metrics.region_of`) that each moves.
MOUTH, UPPER = "mouth", "upper"
REGION_OF_STREAM: Mapping[str, str] = {MOUTH: "lips", UPPER: "upper"}
STREAMS = tuple(REGION_OF_STREAM)

# Union of MEAD's and RAVDESS's labels, so that a condition means the same with every corpus.
EMOTIONS = (
    "neutral",
    "angry",
    "calm",
    "contempt",
    "disgusted",
    "fear",
    "happy",
    "sad",
    "surprised",
)
N_INTENSITIES = 3
UNKNOWN_SPEAKER = -1

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def n_frames_of(n_samples: int) -> int:
    """Return the number of 30 fps frames that cover `n_samples` of 16 kHz audio (rounded up)."""
    return -(-n_samples * FRAME_RATE_HZ // SAMPLE_RATE_HZ)


@dataclass(frozen=True)
class Record:
    """What is known of an utterance without reading its audio or motion.

    Attributes:
        id: Unique within its corpus.
        speaker: Name of the speaker.
        emotion: One of `EMOTIONS`.
        intensity: 1 (weak) to 3 (strong); 1 for neutral.
        text: The sentence, or None where the corpus does not tell.
        n_frames: Length of the motion at 30 fps.
    """

    id: str
    speaker: str
    emotion: str
    intensity: int
    text: str | None
    n_frames: int

    def __post_init__(self) -> None:
        """Check the labels."""
        if self.emotion not in EMOTIONS:
            raise ValueError(f"`emotion` must be one of {EMOTIONS}, got {self.emotion!r}")
        if not 1 <= self.intensity <= N_INTENSITIES:
            raise ValueError(f"`intensity` must be in 1..{N_INTENSITIES}, got {self.intensity}")
        if self.n_frames < 1:
            raise ValueError(f"`n_frames` must be at least 1, got {self.n_frames} in {self.id!r}")


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence with its face motion.

    Attributes:
        record: Id, speaker, emotion, intensity, text.
        audio: Shape (n_samples,), float32 in [-1, 1], 16 kHz mono.
        motion: Shape (T, 52), float32 in [0, 1], 30 fps, alphabetical ARKit order; frame `t`
            stands at `t / 30` seconds.
        captured: Shape (52,); False marks channels the corpus never measured, which every
            metric leaves out.
    """

    record: Record
    audio: FloatArray
    motion: FloatArray
    captured: BoolArray

    def __post_init__(self) -> None:
        """Check shapes and types."""
        if self.audio.ndim != 1 or self.audio.dtype != np.float32:
            got = f"{self.audio.dtype} {self.audio.shape}"
            raise ValueError(f"`audio` must be float32 of shape (n_samples,), got {got}")
        expected = (self.record.n_frames, N_CHANNELS)
        if self.motion.shape != expected or self.motion.dtype != np.float32:
            got = f"{self.motion.dtype} {self.motion.shape}"
            raise ValueError(f"`motion` must be float32 of shape {expected}, got {got}")
        if self.captured.shape != (N_CHANNELS,) or self.captured.dtype != np.bool_:
            got = f"{self.captured.dtype} {self.captured.shape}"
            raise ValueError(f"`captured` must be bool of shape ({N_CHANNELS},), got {got}")


class Corpus(Protocol):
    """A sequence of utterances with fixed splits. Reading is lazy: `records` costs no audio."""

    @property
    def name(self) -> str:
        """Name or folder the corpus was opened by."""

    @property
    def records(self) -> tuple[Record, ...]:
        """One record per utterance, in the order of the indices."""

    @property
    def captured(self) -> BoolArray:
        """Shape (52,): the channels this corpus measured."""

    @property
    def content_hash(self) -> str:
        """Hexadecimal digest that changes whenever audio, motion or labels do."""

    def __len__(self) -> int:
        """Return the number of utterances."""

    def __getitem__(self, index: int) -> Utterance:
        """Read utterance `index`."""

    def split(self, name: str) -> IntArray:
        """Return the utterance indices of `train`, `validation` or `test`, ascending."""


@dataclass(frozen=True)
class Trajectories:
    """Finished animations as tokens, ready to be scored.

    Attributes:
        utterance: Shape (N,), index of each one's utterance in the corpus.
        tokens: Shape (N, L), int64, padded with -1.
        lengths: Shape (N,), number of tokens, at least 1.
        condition: Shape (N, C), float32: emotion, intensity and speaker as the policy saw them.
    """

    utterance: IntArray
    tokens: IntArray
    lengths: IntArray
    condition: FloatArray

    def __post_init__(self) -> None:
        """Check that the rows agree and that padding starts where the length ends."""
        n = len(self.utterance)
        for name in ("tokens", "lengths", "condition"):
            rows = len(getattr(self, name))
            if rows != n:
                raise ValueError(f"`{name}` must have one row per utterance ({n}), got {rows}")
        if self.tokens.ndim != 2 or self.condition.ndim != 2:
            got = f"{self.tokens.shape} and {self.condition.shape}"
            raise ValueError(f"`tokens` and `condition` must have two axes, got {got}")
        width = self.tokens.shape[1]
        if n and not (1 <= self.lengths.min() and self.lengths.max() <= width):
            got = f"{self.lengths.min()} to {self.lengths.max()}"
            raise ValueError(f"`lengths` must be 1 to {width} (the width of `tokens`), got {got}")
        written = self.tokens >= 0  # (N, L)
        inside = np.arange(width) < self.lengths[:, None]
        if (written != inside).any() or self.tokens.min(initial=-1) < -1:
            raise ValueError(
                "`tokens` must be non-negative up to `lengths` and -1 after, got rows that are not"
            )

    @classmethod
    def trusted(
        cls, utterance: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> Trajectories:
        """Return a batch that is right by construction: the checks are left out.

        An environment ends a few episodes in nearly every step, and checking three short rows takes
        longer than all else that is done with them.
        """
        made = object.__new__(cls)
        made.__dict__.update(
            utterance=utterance, tokens=tokens, lengths=lengths, condition=condition
        )
        return made

    def __len__(self) -> int:
        """Return the number of trajectories."""
        return len(self.utterance)

    def __getitem__(self, rows: Any) -> Trajectories:
        """Return the selected `rows` (slice, index array or mask), padding kept."""
        if np.isscalar(rows):
            raise TypeError(f"`rows` must select an axis (slice, array, mask), got {rows!r}")
        return Trajectories(
            self.utterance[rows], self.tokens[rows], self.lengths[rows], self.condition[rows]
        )

    @staticmethod
    def concatenate(parts: list[Trajectories]) -> Trajectories:
        """Join `parts` row-wise, padding all tokens to the longest."""
        if not parts:
            raise ValueError("`parts` must hold at least one batch, got none")
        width = max(part.tokens.shape[1] for part in parts)
        tokens = [
            np.pad(p.tokens, ((0, 0), (0, width - p.tokens.shape[1])), constant_values=-1)
            for p in parts
        ]
        return Trajectories(
            np.concatenate([p.utterance for p in parts]),
            np.concatenate(tokens),
            np.concatenate([p.lengths for p in parts]),
            np.concatenate([p.condition for p in parts]),
        )


class MotionTokenizer(Protocol):
    """Motion to discrete tokens and back."""

    @property
    def n_tokens(self) -> int:
        """Size of the action space: codes per codebook (the slot in the chunk tells which)."""

    @property
    def tokens_per_chunk(self) -> int:
        """Consecutive tokens that together describe one chunk."""

    @property
    def frames_per_chunk(self) -> int:
        """Frames of motion one chunk covers."""

    def encode(self, motion: FloatArray) -> IntArray:
        """Turn motion (T, 52) into tokens (L,), L = ceil(T / frames_per_chunk) chunks."""

    def decode(self, tokens: IntArray) -> FloatArray:
        """Turn tokens (L,) into motion (L / tokens_per_chunk * frames_per_chunk, 52)."""


@runtime_checkable
class RewardFunction(Protocol):
    """Scores finished animations; higher is better."""

    needs_ground_truth: bool

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return one score per trajectory, shape (N,), float32."""


class StreamedReward(RewardFunction, Protocol):
    """A reward that knows which part of the face earned what.

    An option: trainers with `stream_advantages` ask for it. A weighted sum has streams where all of
    its terms do.

    Attributes:
        streams: Streams of the tokenizer that `score_streams` scores; empty where the reward cannot
            tell them apart, and then `score_streams` is not called.
    """

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that `score_streams` scores, such as `("mouth", "upper")`."""

    def score_streams(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        """Return the share of the score by stream of the tokenizer (`mouth`, `upper`).

        Every stream of `AnimationTask.token_streams` has an entry, shape (N,), float32, and all
        together they add up to `score(trajectories)`.
        """


WHOLE_FACE = "whole"  # column of what a chunk earned as a whole, whichever stream wrote it


class ChunkedReward(RewardFunction, Protocol):
    """A reward that knows when, and by which part of the face, it was earned.

    An option: `reward_timing="chunk"` of the environments and `credit="chunk"` of the trainers ask
    for it.

    Attributes:
        chunk_streams: Names of the columns of `score_chunks`: streams of the tokenizer, or
            `WHOLE_FACE` for what no stream earned alone; empty where the reward cannot tell chunks
            apart, and then `score_chunks` is not called.
    """

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """Columns of `score_chunks`, such as `("mouth", "upper")` or `("whole",)`."""

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what each chunk of tokens earned, shape (N, C, S), float32.

        C is the most chunks of a trajectory; past its last chunk stand zeros. All chunks and
        columns of a trajectory add up to its `score`.
        """


class DifferentiableScores(NamedTuple):
    """Scores of animations whose tokens are choices, with a gradient to the choices.

    Attributes:
        score: Shape (N,), what `score` gives for the same tokens.
        spread: Shape (N,), standard deviation of an ensemble's members; 0 where there is one alone.
    """

    score: Tensor
    spread: Tensor


class DifferentiableReward(RewardFunction, Protocol):
    """A reward with a gradient to the tokens, through decoder and reward model.

    An option, which `agents.SequenceDiffReward` asks for. A weighted sum has a gradient where all
    of its terms have one.
    """

    def differentiable_score(
        self, choices: Tensor, utterances: IntArray, lengths: IntArray, condition: FloatArray
    ) -> DifferentiableScores:
        """Return scores, (N,) each, of choices among tokens.

        Args:
            choices: Shape (N, L, n_tokens), one-hot where a token is, in value at least; what is
                past a row's length is ignored.
            utterances: Shape (N,).
            lengths: Shape (N,), tokens of each.
            condition: Shape (N, condition_dim).
        """


class Animator(Protocol):
    """Speech to motion: the policy and every baseline are one."""

    def animate(self, features: FloatArray, condition: FloatArray) -> FloatArray:
        """Turn features (T, D) and a condition (C,) into motion (T, 52)."""

"""Protocols through which agents see a task and an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import Trajectories

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


class SpeechTask(Protocol):
    """What writing sequences needs: the audio of utterances by index."""

    @property
    def lengths(self) -> IntArray:
        """Tokens of every utterance, shape (n_utterances,)."""

    def audio_windows(self, utterances: IntArray) -> FloatArray:
        """Return audio windows, zero-padded, shape (N, n_chunks, window_dim)."""


class SequenceTask(SpeechTask, Protocol):
    """Whole utterances by index, as `env.get_wrapper_attr("sequence_task")` offers them."""

    @property
    def n_tokens(self) -> int:
        """Size of the action space."""

    @property
    def tokens_per_chunk(self) -> int:
        """Actions per chunk of frames."""

    @property
    def window_dim(self) -> int:
        """Width of an audio window."""

    @property
    def condition_dim(self) -> int:
        """Width of a condition."""

    def condition_of(self, utterances: IntArray) -> FloatArray:
        """Return recorded conditions, shape (N, condition_dim)."""

    def demonstrations(self, utterances: IntArray) -> IntArray:
        """Return recorded motions as tokens, shape (N, L), padded with -1."""


class MeasuredTask(SequenceTask, Protocol):
    """A task that knows how far apart the codes of its tokens look."""

    @property
    def code_distances(self) -> FloatArray:
        """Distances of codes by slot, (tokens_per_chunk, n_tokens, n_tokens), in mm."""


@runtime_checkable
class MedianTask(Protocol):
    """Speech that can say which tokens write the median of several animations."""

    def median_tokens(self, utterances: IntArray, tokens: IntArray) -> IntArray:
        """Return tokens (N, L), padded with -1, of the medians of animations (N, n, L)."""


class RecordedSpeech(SpeechTask, Protocol):
    """A recording cut into pieces, its utterances, as `esarm_env.open_speech` gives it."""

    def condition_of(self, utterances: IntArray) -> FloatArray:
        """Return the condition of each piece, shape (N, condition_dim)."""

    def join(self, tokens: Sequence[IntArray]) -> FloatArray:
        """Return the motion (T, 52) of the whole recording from the tokens of every piece."""


class HeardWindow(Protocol):
    """An audio window that tokens are to be written for."""

    @property
    def piece(self) -> int:
        """Number of the piece; tokens of one piece are one sequence."""

    @property
    def window(self) -> FloatArray:
        """The window, shape (window_dim,)."""


class StreamedSpeech(Protocol):
    """Speech that is still being spoken, as `esarm_env.open_speech_stream` gives it."""

    @property
    def condition(self) -> FloatArray:
        """How it is said, shape (condition_dim,)."""

    @property
    def longest_piece(self) -> int:
        """Chunks of a piece at most."""

    @property
    def look_ahead_frames(self) -> int:
        """So many frames after its own time is a frame's motion there, at most."""

    @property
    def oldest_piece(self) -> int:
        """Number of the oldest piece that is still written."""

    def hear(self, audio: FloatArray) -> Sequence[HeardWindow]:
        """Return the windows that are ready after `audio` (n_samples,) at 16 kHz, in order."""

    def finish(self) -> Sequence[HeardWindow]:
        """Return the windows that are left; then the recording has ended."""

    def write(self, piece: int, tokens: IntArray) -> None:
        """Take the tokens (tokens_per_chunk,) of the next window of a piece."""

    def take(self, *, last: bool = False) -> FloatArray:
        """Return the motion (T, 52) that is final and was not taken; `last` after `finish`."""


@runtime_checkable
class CurvedSpeech(Protocol):
    """Speech whose condition may change over time."""

    def conditions_over_time(self, utterances: IntArray) -> FloatArray | None:
        """Return the condition of each chunk, (N, n_chunks, condition_dim); None if it is one."""


class ScoreFunction(Protocol):
    """Scores finished token sequences, as `env.get_wrapper_attr("score_tokens")` offers it."""

    def __call__(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """Return one score per row, shape (N,)."""


class StreamedTask(SequenceTask, Protocol):
    """A task whose tokens belong to streams, such as the mouth and the upper face."""

    @property
    def token_streams(self) -> tuple[str, ...]:
        """Name of the stream of each token of a chunk, tokens_per_chunk of them."""


class SpreadTask(StreamedTask, Protocol):
    """A task that knows how far apart animations of one utterance look."""

    def sample_distances(self, trajectories: Trajectories) -> FloatArray:
        """Return each one's mean distance to the others of its utterance, (N, C, S), in mm.

        By chunk, and by stream in the order of `token_streams`. Chunks add up to the distance.
        """


class RecordedTask(StreamedTask, Protocol):
    """A task whose recordings answer what a policy writes."""

    def answers(self, utterances: IntArray, tokens: IntArray) -> IntArray:
        """Return, for each of `tokens` (N, L), the best one given those before; padded with -1."""


class TermScores(Protocol):
    """A weighted sum and its terms, of N animations."""

    @property
    def total(self) -> FloatArray:
        """The score, shape (N,)."""

    @property
    def terms(self) -> Mapping[str, FloatArray]:
        """Its terms by name, unweighted, shape (N,) each."""


class TermScoreFunction(Protocol):
    """Scores by term of a weighted sum, as `env.get_wrapper_attr("score_terms")` offers it.

    `env.get_wrapper_attr("reward_weights")` has the weights by name.
    """

    def __call__(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> TermScores:
        """Return the score and its terms."""


class StreamScoreFunction(Protocol):
    """Scores by stream, as `env.get_wrapper_attr("score_streams")` offers where a reward can tell.

    `env.get_wrapper_attr("reward_streams")` names the streams; it is empty where it cannot.
    """

    def __call__(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> dict[str, FloatArray]:
        """Return one score per row and stream, shape (N,) each; they add up to the score."""


class ChunkScoreFunction(Protocol):
    """Scores by chunk, as `env.get_wrapper_attr("score_chunks")` offers where a reward can tell.

    `env.get_wrapper_attr("reward_chunk_streams")` names the columns (streams of the tokenizer, or
    `WHOLE_FACE`); it is empty where it cannot.
    """

    def __call__(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """Return what each chunk earned, shape (N, C, S); all of a row add up to its score."""


def find_in_env(env: Any, name: str) -> Any:
    """Return attribute `name` of the first environment behind an SB3 `VecEnv`.

    Raises:
        ValueError: If the environment lacks it, so is none that sequence algorithms can train on.
    """
    try:
        return env.get_attr(name, indices=[0])[0]
    except AttributeError as error:
        raise ValueError(
            f"`env` must offer `{name}` (as ESARM-v0 does), got {env}; "
            "stock Stable-Baselines3 algorithms need no such thing"
        ) from error


def utterance_shares(env: Any) -> npt.NDArray[np.float64] | None:
    """Return how often each of the `utterances` of `env` is to be drawn; None for equally often.

    Raises:
        InputError: If there are not as many as utterances.
    """
    try:
        shares = find_in_env(env, "utterance_shares")
    except ValueError:
        return None
    n_utterances = len(find_in_env(env, "utterances"))
    if shares is not None and len(shares) != n_utterances:
        raise InputError(
            f"`utterance_shares` must hold one share for each of {n_utterances} `utterances`, got "
            f"{len(shares)}; whoever sets the one sets the other"
        )
    return shares  # type: ignore[no-any-return]


def check_names(observation: Mapping[str, Any], names: Sequence[str], *, remedy: str) -> None:
    """Check that keys that hold names or places, not quantities, are integers still.

    The spaces of `ESARM-v0` mark them by an integer dtype. Scaled, a token is another token, and a
    step another step; a wrapper that scales gives floats.

    Args:
        observation: By key, an array or a tensor each.
        names: Keys that must be integers, where `observation` has them.
        remedy: What to pass to a `VecNormalize`.

    Raises:
        InputError: If one is not.
    """
    scaled = {
        name: observation[name].dtype
        for name in names
        if name in observation and "int" not in str(observation[name].dtype)
    }
    if scaled:
        got = ", ".join(f"{name} {dtype}" for name, dtype in scaled.items())
        raise InputError(
            f"`observation` must have integers in {', '.join(names)}, as its space says, got "
            f"{got}: a wrapper such as `VecNormalize` has scaled what is a name or a place; "
            f"{remedy}"
        )

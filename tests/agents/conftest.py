"""A toy task whose best return is known: every token can be read off the audio, and pays its share.

An utterance belongs to a class, which its audio windows show under noise. The right token at step
t is class + (t mod tokens_per_chunk), modulo the tokens there are; an episode's reward is the share
of right tokens, so 1 is the optimum and the demonstrations reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.protocols import FloatArray, IntArray, SequenceTask
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.types import Trajectories

MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., gymnasium.Env[Any, Any]]
MakeModel = Callable[..., MotionTransformer]
MakeBatch = Callable[..., EpisodeBatch]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]

_AUDIO_BOUND = 8.0


class ToyTask:
    """Implements `SequenceTask` with arrays in memory."""

    def __init__(
        self,
        n_utterances: int = 12,
        *,
        n_tokens: int = 4,
        tokens_per_chunk: int = 2,
        max_chunks: int = 4,
        noise: float = 0.3,
        liars: Iterable[int] = (),
        seed: int = 0,
    ) -> None:
        """Draw lengths and audio; the demonstrations of `liars` are those of the next class."""
        rng = np.random.default_rng(seed)
        self.n_tokens, self.tokens_per_chunk = n_tokens, tokens_per_chunk
        self.window_dim, self.condition_dim = n_tokens + 4, 5
        # The first half of a chunk is the mouth's; a chunk of one token has no upper face.
        halves = ("mouth", "upper")
        self.token_streams = tuple(
            halves[2 * s // tokens_per_chunk] for s in range(tokens_per_chunk)
        )
        numbers = np.arange(n_utterances)
        chunks = 1 + numbers // n_tokens % max_chunks
        self.lengths: IntArray = chunks * tokens_per_chunk
        self.classes: IntArray = numbers % n_tokens
        shown = np.eye(self.window_dim, dtype=np.float32)[self.classes]
        shape = (n_utterances, max_chunks, self.window_dim)
        windows = 3 * shown[:, None] + noise * rng.normal(size=shape)
        self._windows: FloatArray = windows.clip(-_AUDIO_BOUND, _AUDIO_BOUND).astype(np.float32)
        self._conditions: FloatArray = rng.random((n_utterances, 5), dtype=np.float32)
        self._told = self.classes + np.isin(numbers, list(liars))

    def right_tokens(self, classes: IntArray, width: int) -> IntArray:
        """Return what earns the reward at every step, shape (N, width)."""
        return (classes[:, None] + np.arange(width) % self.tokens_per_chunk) % self.n_tokens

    def audio_windows(self, utterances: IntArray) -> FloatArray:
        chunks = self.lengths[utterances] // self.tokens_per_chunk
        inside = np.arange(chunks.max()) < chunks[:, None]
        return self._windows[utterances, : chunks.max()] * inside[..., None]

    def condition_of(self, utterances: IntArray) -> FloatArray:
        return self._conditions[utterances]

    def demonstrations(self, utterances: IntArray) -> IntArray:
        lengths = self.lengths[utterances]
        tokens = self.right_tokens(self._told[utterances], int(lengths.max()))
        return np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, -1)

    def sample_distances(self, trajectories: Trajectories) -> FloatArray:
        """Return the mean share of other tokens than those of the utterance's other samples."""
        tokens, utterances = trajectories.tokens, trajectories.utterance
        same = (utterances[:, None] == utterances) & ~np.eye(len(tokens), dtype=bool)
        others = same / np.maximum(same.sum(1, keepdims=True), 1)
        differ = (tokens[:, None] != tokens) / trajectories.lengths[:, None, None]
        mean = np.einsum("nm,nml->nl", others, differ)  # (N, L)
        streams = np.array(self.token_streams)
        by_slot = mean.reshape(len(mean), -1, len(streams))
        parts = [by_slot[:, :, streams == name].sum(2) for name in dict.fromkeys(streams)]
        apart: FloatArray = np.stack(parts, axis=2).astype(np.float32)
        return apart


class ToyEnv(gymnasium.Env[dict[str, np.ndarray], np.int64]):
    """One utterance an episode, one token an action, a score at the end."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, task: ToyTask, utterances: Iterable[int] | None = None) -> None:
        """Offer `utterances` of `task`; by default all of them."""
        n_utterances = len(task.lengths)
        chosen = range(n_utterances) if utterances is None else utterances
        self.sequence_task = task
        self.utterances: IntArray = np.array(list(chosen), dtype=np.int64)
        self.action_space = spaces.Discrete(task.n_tokens)
        self.observation_space = spaces.Dict(
            {
                "audio": spaces.Box(-_AUDIO_BOUND, _AUDIO_BOUND, (task.window_dim,), np.float32),
                "condition": spaces.Box(0, 1, (task.condition_dim,), np.float32),
                "last_tokens": spaces.Box(
                    -1, task.n_tokens - 1, (task.tokens_per_chunk,), np.int64
                ),
                "step": spaces.Box(0, int(task.lengths.max()), (1,), np.int64),
                "utterance": spaces.Box(0, n_utterances - 1, (1,), np.int64),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        drawn = self.np_random.choice(self.utterances)
        self._utterance = np.array([(options or {}).get("utterance", drawn)], dtype=np.int64)
        self._tokens: list[int] = []
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        self._tokens.append(int(action))
        lengths = self.sequence_task.lengths[self._utterance]
        if len(self._tokens) < lengths[0]:
            return self._observe(), 0.0, False, False, {}
        condition = self.sequence_task.condition_of(self._utterance)
        score = self.score_tokens(self._utterance, np.array([self._tokens]), lengths, condition)
        return self._observe(), float(score[0]), True, False, {}

    def score_tokens(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """Return the share of right tokens, shape (N,)."""
        return (self._right(utterances, tokens, lengths).sum(axis=1) / lengths).astype(np.float32)

    @property
    def reward_streams(self) -> tuple[str, ...]:
        """Return the streams of the task."""
        streams = getattr(self.sequence_task, "token_streams", ("mouth", "upper"))
        return tuple(dict.fromkeys(streams))

    def score_streams(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> dict[str, FloatArray]:
        """Return each stream's part of the share of right tokens, shape (N,)."""
        right = self._right(utterances, tokens, lengths)
        streams = self.sequence_task.token_streams
        of_column = np.array(streams)[np.arange(tokens.shape[1]) % len(streams)]
        return {
            name: (right[:, of_column == name].sum(axis=1) / lengths).astype(np.float32)
            for name in dict.fromkeys(streams)
        }

    @property
    def reward_chunk_streams(self) -> tuple[str, ...]:
        """Return the columns of `score_chunks`: the streams."""
        return self.reward_streams

    def score_chunks(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """Return each chunk's part of the share of right tokens by stream, shape (N, C, S)."""
        right = self._right(utterances, tokens, lengths) / lengths[:, None]
        streams = np.array(self.sequence_task.token_streams)
        by_slot = right.reshape(len(right), -1, len(streams))
        parts = [by_slot[:, :, streams == name].sum(2) for name in dict.fromkeys(streams)]
        return np.stack(parts, axis=2).astype(np.float32)

    def _right(self, utterances: IntArray, tokens: IntArray, lengths: IntArray) -> np.ndarray:
        task = self.sequence_task
        right = tokens == task.right_tokens(task.classes[utterances], tokens.shape[1])
        return right & (np.arange(tokens.shape[1]) < lengths[:, None])

    def _observe(self) -> dict[str, np.ndarray]:
        task, written = self.sequence_task, len(self._tokens)
        windows = task.audio_windows(self._utterance)[0]
        chunk = min(written // task.tokens_per_chunk, len(windows) - 1)
        last = [-1] * task.tokens_per_chunk + self._tokens
        return {
            "audio": windows[chunk],
            "condition": task.condition_of(self._utterance)[0],
            "last_tokens": np.array(last[-task.tokens_per_chunk :], dtype=np.int64),
            "step": np.array([written], dtype=np.int64),
            "utterance": self._utterance.copy(),
        }


def _model_of(task: SequenceTask, *, seed: int = 0, **sizes: Any) -> MotionTransformer:
    chosen = {"n_layers": 2, "n_heads": 2, "width": 16, "dropout": 0.0} | sizes
    torch.manual_seed(seed)
    model = MotionTransformer(
        PolicyConfig(
            n_tokens=task.n_tokens,
            tokens_per_chunk=task.tokens_per_chunk,
            window_dim=task.window_dim,
            condition_dim=task.condition_dim,
            **chosen,
        )
    )
    # Fresh heads are almost flat; far-off weights make every mistake visible in the logits.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model.eval()


def _batch_of(*lengths: int, **changed: Any) -> EpisodeBatch:
    lengths_array = np.array(lengths, dtype=np.int64)
    n, width = len(lengths), max(lengths)
    inside = np.arange(width) < lengths_array[:, None]
    ramp = np.where(inside, np.arange(n * width).reshape(n, width), 0)
    batch = EpisodeBatch(
        utterances=100 + np.arange(n),
        condition=np.arange(2 * n, dtype=np.float32).reshape(n, 2),
        tokens=np.where(inside, ramp, -1),
        lengths=lengths_array,
        log_probs=(ramp * -1.0).astype(np.float32),
        values=(ramp * 2.0).astype(np.float32),
        scores=np.arange(n, dtype=np.float32) / 8,
        advantages=(ramp * 3.0).astype(np.float32),
        returns=(ramp * 4.0).astype(np.float32),
    )
    return replace(batch, **changed)


def _learn(algorithm: SequenceAlgorithm, *, n_iterations: int = 1) -> dict[str, float]:
    if not hasattr(algorithm, "_logger"):
        algorithm.set_logger(Logger(folder=None, output_formats=[]))
    for _ in range(n_iterations):  # one token asks for one iteration
        algorithm.learn(1, reset_num_timesteps=False)
    return dict(algorithm.logger.name_to_value)


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """Return the class of toy tasks."""
    return ToyTask


@pytest.fixture(scope="session")
def make_env() -> MakeEnv:
    """Return the class of toy environments: `make_env(task, utterances)`."""
    return ToyEnv


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Return a maker of tiny networks with strong random weights: `make_model(task, **sizes)`."""
    return _model_of


@pytest.fixture(scope="session")
def make_batch() -> MakeBatch:
    """Return a maker of ramp-filled batches: `make_batch(3, 5, name=array)`, one per length."""
    return _batch_of


@pytest.fixture
def make_algorithm(network: dict[str, Any]) -> MakeAlgorithm:
    """Return a maker of small algorithms: `make_algorithm(SequencePPO, env, **settings)`."""

    def make(
        kind: type[SequenceAlgorithm], env: gymnasium.Env[Any, Any] | VecEnv, **settings: Any
    ) -> SequenceAlgorithm:
        small = {"learning_rate": 5e-3, "n_episodes": 16, "kl_coef": 0.0, "seed": 0}
        made = kind("MotionPolicy", env, **{"policy_kwargs": network, **small, **settings})
        if env is not None:  # the divergence from random weights, said to be meant
            made.warm_start(made.model)
        return made

    return make


@pytest.fixture(scope="session")
def learn() -> Learn:
    """Return a runner of iterations that hands back what the last one logged."""
    return _learn


@pytest.fixture
def task() -> SequenceTask:
    """Return 12 utterances of 2 to 6 tokens, 4 tokens to choose from."""
    return ToyTask()


@pytest.fixture
def env(task: ToyTask) -> gymnasium.Env[Any, Any]:
    """Return the environment of `task`."""
    return ToyEnv(task)


@pytest.fixture
def model(task: SequenceTask) -> MotionTransformer:
    """Return a tiny network for `task`."""
    return _model_of(task)


@pytest.fixture
def network() -> dict[str, Any]:
    """Return the `policy_kwargs` of a tiny network, with a dropout that must never be active."""
    return {"network": {"n_layers": 1, "n_heads": 2, "width": 32, "dropout": 0.5}}

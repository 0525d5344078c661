"""Rewards that ask the clone: `likelihood`, and `bond`, another reward's quantile in its samples.

The log-likelihood of an animation under a cloned policy is the baseline that a learned reward must
beat: it comes free with every clone. torch is imported when
something is opened or scored, so that listing rewards stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CLONE_FILE, need_file

if TYPE_CHECKING:
    from agents.distillation.bond import BondReward
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

BATCH_SIZE = 64


class LikelihoodReward:
    """The mean log-likelihood per token under a policy; implements `ChunkedReward`.

    `mean over tokens t of ln p(token_t | tokens before, audio, condition)` without dropout, in
    nats per token, at most 0; it does not grow with length. Uniform tokens under a uniform policy
    have minus the logarithm of their number.

    On 80 held-out utterances of the shipped corpus, under the shipped clone: recordings -2.05
    (deviation 0.21), its own samples -1.93 (0.20), its most likely animations -0.89 (0.09),
    recordings under another emotion's condition -4.25 (0.48), uniformly random tokens -7.41 (0.25).
    Among 16 samples of an utterance its rank correlation with minus LVE is 0.21 in the mean, with
    minus EVE 0.22. Reinforcement learning on it sharpens the clone towards its most likely, least
    lively animations.
    """

    needs_ground_truth = False

    def __init__(
        self, task: AnimationTask, model: MotionTransformer, *, batch_size: int = BATCH_SIZE
    ) -> None:
        """Score animations of `task` under `model`, `batch_size` of similar length at a time.

        Raises:
            InputError: If `model` reads other audio, conditions or tokens than those of `task`.
        """
        config = model.config
        sizes = (config.window_dim, config.condition_dim, config.n_tokens, config.tokens_per_chunk)
        expected = (task.window_dim, task.condition_dim, task.n_tokens, task.tokens_per_chunk)
        if sizes != expected:
            raise InputError(
                "`model` must have the task's widths of audio and condition, tokens and tokens per "
                f"chunk, {expected}, got {sizes}; it was cloned from another task"
            )
        self._task, self._model, self._batch_size = task, model, batch_size

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return log-likelihoods per token, shape (N,), in nats, at most 0."""
        scores: FloatArray = self._by_token(trajectories).sum(axis=1)
        return scores

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """Streams of the tokenizer, each of which has tokens of its own."""
        return tuple(dict.fromkeys(self._task.token_streams))

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what the tokens of each chunk and stream add to the score, shape (N, C, S)."""
        streams, per_chunk = np.array(self._task.token_streams), self._task.tokens_per_chunk
        n_chunks = int(trajectories.lengths.max(initial=0)) // per_chunk
        tokens = self._by_token(trajectories)[:, : n_chunks * per_chunk]
        chunks = tokens.reshape(len(tokens), n_chunks, per_chunk)
        parts = [chunks[..., streams == name].sum(axis=2) for name in self.chunk_streams]
        return np.stack(parts, axis=2)

    def _by_token(self, trajectories: Trajectories) -> FloatArray:
        """Return what each token adds to the score, shape (N, L), 0 past the end."""
        scores = np.zeros(trajectories.tokens.shape, dtype=np.float32)
        order = np.argsort(trajectories.lengths, kind="stable")
        for begin in range(0, len(order), self._batch_size):
            rows = order[begin : begin + self._batch_size]
            part = self._score(trajectories, rows)
            scores[rows, : part.shape[1]] = part
        return scores

    def _score(self, trajectories: Trajectories, rows: IntArray) -> FloatArray:
        import torch

        lengths = trajectories.lengths[rows]
        width, per_chunk = int(lengths.max()), self._task.tokens_per_chunk
        windows = self._task.audio_windows(trajectories.utterance[rows])[:, : width // per_chunk]
        tokens = torch.from_numpy(trajectories.tokens[rows, :width])
        self._model.eval()
        with torch.inference_mode():
            condition = torch.from_numpy(trajectories.condition[rows])
            logits, _ = self._model(torch.from_numpy(windows), condition, tokens)  # (B, L, K)
            chosen = logits.log_softmax(-1).gather(2, tokens.clamp(min=0)[..., None])[..., 0]
            counted = torch.where(tokens >= 0, chosen, 0).numpy()  # (B, L)
        return np.asarray(counted / lengths[:, None], dtype=np.float32)


def open_likelihood(task: AnimationTask, run: Path | None, argument: str = "") -> LikelihoodReward:
    """Mean log-likelihood per token of the run's clone, or `likelihood:PATH` (run or weights)."""
    from agents.weights import load_policy

    if not argument and run is None:
        raise InputError(
            "`run` must be a run folder for the reward `likelihood`, got none; "
            "clone a policy with `esarm run`, or give one as `likelihood:PATH`"
        )
    path = Path(argument).expanduser() if argument else Path(str(run))
    file = path if path.suffix == ".safetensors" else need_file(path, CLONE_FILE)
    return LikelihoodReward(task, load_policy(file).requires_grad_(False))


def open_bond(task: AnimationTask, run: Path | None, argument: str) -> BondReward:
    """15 times `REWARD`'s log-quantile in the clone's samples (BOND); ground truth as `REWARD`.

    Climb it with a KL weight of 1.
    """
    from agents.distillation.bond import BondReward
    from agents.weights import load_policy
    from esarm_env.rewards.registry import resolve_reward

    if run is None:
        raise InputError(
            "`run` must be a run folder for the reward `bond`, got none; "
            "clone a policy with `esarm run`"
        )
    clone = load_policy(need_file(run, CLONE_FILE)).requires_grad_(False)
    return BondReward(resolve_reward(argument, task, run), clone, task)

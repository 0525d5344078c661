"""`ESARM-v0`: one utterance is one episode, one action is one motion token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from esarm_env.audio.features import FEATURE_BOUND
from esarm_env.errors import InputError
from esarm_env.opening import open_task, resolve_reward
from esarm_env.task import AnimationTask
from esarm_env.types import FloatArray, IntArray, RewardFunction, Trajectories

Observation = dict[str, np.ndarray]
RESET_OPTIONS = ("utterance", "emotion", "intensity", "speaker")


class SpeechAnimationEnv(gymnasium.Env[Observation, np.int64]):
    """Animate a face to speech, token by token; a terminal score says how well.

    ## Description
    An utterance is drawn, and the agent writes its facial motion as discrete tokens of a VQ motion
    prior. A chunk of 4 frames (133 ms) is 4 tokens: mouth coarse, mouth fine, upper face coarse,
    upper face fine. The audio is known in advance, so the observation looks a little ahead.

    ## Action space
    `Discrete(n_tokens)` (96 by default). The token means a code of the codebook whose turn it is:
    `step % tokens_per_chunk`.

    ## Observation space
    `Dict` of `Box`, freshly allocated at every step:

    | key | shape | meaning | low | high |
    |---|---|---|---|---|
    | `audio` | (window_dim,) | features of this chunk and 1 on each side | -8 | 8 |
    | `condition` | (condition_dim,) | one-hots of emotion (9), intensity (3), speaker | 0 | 1 |
    | `last_tokens` | (tokens_per_chunk,) | newest last, -1 before the start | -1 | n_tokens - 1 |
    | `step` | (1,) | tokens written so far | 0 | longest utterance |
    | `utterance` | (1,) | index in the corpus | 0 | n_utterances - 1 |

    ## Reward
    0 until the last token, then `RewardFunction.score` of the finished animation. Discount 1.

    ## Start
    An utterance drawn uniformly from the split; `reset(options={"utterance": id or index,
    "emotion": ..., "intensity": ..., "speaker": ...})` chooses it, or animates it under another
    condition than the recorded one.

    ## Termination
    `terminated` at the end of the audio. Never `truncated`: there is no artificial limit.

    ## Info
    At the end: `rewards` (name to score), `tokens` (L,), `utterance_id` and, unless
    `metrics=False`, `lve` and `eve` in mm (mean over frames of the maximum over the region's
    vertices of the L2 error). They never enter the reward unless it says that it needs them.

    ## Version history
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # as Gymnasium declares it

    def __init__(
        self,
        run: str | Path | None = None,
        *,
        task: AnimationTask | None = None,
        corpus: str | None = None,
        reward: str | RewardFunction | None = None,
        split: str = "train",
        metrics: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Open a task and a reward.

        Args:
            run: A run folder of `esarm run`: its corpus, tokenizer and learned reward are used.
            task: A task made by hand, instead of that of `run` (whose learned reward still serves).
            corpus: Without `run` and `task`: name or folder of a corpus, for which a small
                tokenizer is trained at the first use and cached (default: 48 synthetic utterances).
            reward: A registered name or any `RewardFunction`. By default `learned` if `run` has a
                trained reward model, else `accuracy` (minus LVE and EVE, which needs ground truth).
            split: `train`, `validation` or `test`.
            metrics: Whether the last `info` holds LVE and EVE.
            render_mode: None; rendering comes with a later version.

        Raises:
            InputError: If something is unknown or missing; the message says what is valid.
        """
        if render_mode is not None:
            raise InputError(f"`render_mode` must be None, got {render_mode!r}")
        if task is not None and corpus is not None:
            raise InputError(f"`corpus` must be left out beside `task`, got {corpus!r}")
        self.sequence_task = task if task is not None else open_task(run, corpus=corpus)
        self.reward_name, self.reward_function = resolve_reward(reward, self.sequence_task, run)
        self.utterances: IntArray = self.sequence_task.corpus.split(split)
        if len(self.utterances) == 0:
            raise InputError(f"`split` must hold at least one utterance, got {split!r} with none")
        self._metrics = metrics
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(self.sequence_task.n_tokens)
        self.observation_space: spaces.Space[Any] = _observation_space(self.sequence_task)
        self._tokens: list[int] = []
        self._length = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an utterance; see "Start" above for `options`."""
        super().reset(seed=seed)
        options = dict(options or {})
        unknown = sorted(set(options) - set(RESET_OPTIONS))
        if unknown:
            raise InputError(
                f"`options` must be among {', '.join(RESET_OPTIONS)}, got {', '.join(unknown)}"
            )
        utterance = self._choose(options.get("utterance"))
        record = self.sequence_task.corpus.records[utterance]
        self._condition = self.sequence_task.conditions.encode(
            options.get("emotion", record.emotion),
            options.get("intensity", record.intensity),
            options.get("speaker", record.speaker),
        )
        self._utterance = utterance  # last: a refused option leaves the episode as it was
        self._windows = self.sequence_task.windows_of(self._utterance)
        self._length = int(self.sequence_task.lengths[self._utterance])
        self._tokens = []
        return self._observe(), {"utterance_id": record.id}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Write one token."""
        if len(self._tokens) >= self._length:
            state = "ended" if self._length else "not begun"
            raise RuntimeError(f"`step` must follow `reset`, got an episode that has {state}")
        if not self.action_space.contains(action):
            last = self.sequence_task.n_tokens - 1
            raise InputError(f"`action` must be an integer in 0..{last}, got {action!r}")
        self._tokens.append(int(action))
        if len(self._tokens) < self._length:
            return self._observe(), 0.0, False, False, {}
        reward, info = self._finish()
        return self._observe(), reward, True, False, info

    def score_tokens(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """Score a batch of finished sequences as `step` would at their ends, shape (N,).

        Trainers that write whole utterances call this once a batch; arguments as in `Trajectories`.
        """
        return self._score(Trajectories(utterances, tokens, lengths, condition))

    def _score(self, trajectories: Trajectories) -> FloatArray:
        scores = self.reward_function.score(trajectories)
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            record = self.sequence_task.corpus.records[int(trajectories.utterance[row])]
            raise RuntimeError(
                f"reward {self.reward_name!r} must be finite, got {scores[row]} for {record.id!r}"
            )
        return scores

    def _choose(self, wanted: Any) -> int:
        if wanted is None:
            return int(self.np_random.choice(self.utterances))
        records = self.sequence_task.corpus.records
        if isinstance(wanted, str):
            matches = [index for index, record in enumerate(records) if record.id == wanted]
            if not matches:
                raise InputError(
                    f"`utterance` must be an id of the corpus (such as {records[0].id!r}), "
                    f"got {wanted!r}"
                )
            return matches[0]
        whole = isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool)
        if not whole or not 0 <= wanted < len(records):
            raise InputError(
                f"`utterance` must be an id or in 0..{len(records) - 1}, got {wanted!r}"
            )
        return int(wanted)

    def _observe(self) -> Observation:
        per_chunk = self.sequence_task.tokens_per_chunk
        step = len(self._tokens)
        chunk = min(step // per_chunk, len(self._windows) - 1)
        last = ([-1] * per_chunk + self._tokens)[-per_chunk:]
        return {
            "audio": self._windows[chunk].copy(),
            "condition": self._condition.copy(),
            "last_tokens": np.array(last, dtype=np.int64),
            "step": np.array([step], dtype=np.int64),
            "utterance": np.array([self._utterance], dtype=np.int64),
        }

    def _finish(self) -> tuple[float, dict[str, Any]]:
        trajectory = Trajectories(
            np.array([self._utterance]),
            np.array([self._tokens]),
            np.array([self._length]),
            self._condition[None],
        )
        score = self._score(trajectory)
        record = self.sequence_task.corpus.records[self._utterance]
        info: dict[str, Any] = {
            "rewards": {self.reward_name: float(score[0])},
            "tokens": np.array(self._tokens, dtype=np.int64),
            "utterance_id": record.id,
        }
        if self._metrics:
            errors = self.sequence_task.errors(trajectory)
            info |= {name: float(value[0]) for name, value in errors.items()}
        return float(score[0]), info


def _observation_space(task: AnimationTask) -> spaces.Dict:
    def integers(low: int, high: int, size: int) -> spaces.Box:
        return spaces.Box(low, high, (size,), np.int64)

    def floats(low: float, high: float, size: int) -> spaces.Box:
        return spaces.Box(low, high, (size,), np.float32)

    return spaces.Dict(
        {
            "audio": floats(-FEATURE_BOUND, FEATURE_BOUND, task.window_dim),
            "condition": floats(0, 1, task.condition_dim),
            "last_tokens": integers(-1, task.n_tokens - 1, task.tokens_per_chunk),
            "step": integers(0, int(task.lengths.max()), 1),
            "utterance": integers(0, len(task.corpus) - 1, 1),
        }
    )

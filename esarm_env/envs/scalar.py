"""`SpeechAnimationEnv` (`ESARM-v0`): an episode is an utterance, an action is a motion token."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import gymnasium
import numpy as np
from gymnasium import spaces

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, BoolArray, IntArray, Trajectories
from esarm_env.envs.chunk_payments import TERMINAL, held_to_end
from esarm_env.envs.episode_rules import EpisodeRules, check_options
from esarm_env.envs.episode_scores import EpisodeScores, is_argument
from esarm_env.envs.episode_slots import Observation
from esarm_env.envs.sampling import Sampling
from esarm_env.rendering import RENDER_MODES, EpisodeRenderer, EpisodeView, Timing
from esarm_env.rewards import RewardChoice, resolve_reward
from esarm_env.task.opening import open_problem

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask


class SpeechAnimationEnv(EpisodeScores, gymnasium.Env[Observation, np.int64]):
    """Animate a face to speech, token by token; the reward is a terminal score.

    ## Description
    An utterance is drawn, and the agent writes its facial motion as discrete tokens of a motion
    prior. A chunk of frames (4, 133 ms) is a fixed number of tokens, `tokens_per_chunk`: those of
    the mouth, coarse to fine, then those of the upper face; the two may have unlike numbers. The
    audio is known in advance, so the observation looks a little ahead.

    ## Action space
    `Discrete(n_tokens)`. The token means a code of the codebook whose turn it is; with M codebooks
    of the mouth (`sequence_task.token_streams` tells):

    | `step % tokens_per_chunk` | the token means | codes |
    |---|---|---|
    | 0 | mouth (jaw, lips, cheeks, tongue), coarse | 0 to n_tokens - 1 |
    | 1 to M - 1 | mouth, finer: added to those before | 0 to n_tokens - 1 |
    | M | upper face (eyes, brows, nose), coarse | 0 to n_tokens - 1 |
    | M + 1 and on | upper face, finer | 0 to n_tokens - 1 |

    ## Observation space
    `Dict` of `Box`, freshly allocated at every step:

    | key | shape | meaning | unit | low | high |
    |---|---|---|---|---|---|
    | `audio` | (window_dim,) | what is heard in this chunk | spread, 20 dB, octaves | -8 | 8 |
    | `condition` | (condition_dim,) | one-hots: emotion (9), intensity (3), speaker | - | 0 | 1 |
    | `last_tokens` | (tokens_per_chunk,) | newest last, -1 if none | - | -1 | n_tokens - 1 |
    | `step` | (1,) | tokens written so far | tokens | 0 | longest utterance |
    | `utterance` | (1,) | index in the corpus | - | 0 | n_utterances - 1 |

    With the shipped task `window_dim` is 396 (4 frames x 64 of the speech encoder's streams and 35
    audio features) and `condition_dim` 21 (9 training speakers; any other is all zeros). A task
    without a speech encoder hears the features of this chunk and 1 on each side. The observation is
    small, not Markov: `observation="full_sequence"` gives the whole state, `"flat"` one vector for
    MLPs.

    ## Reward
    0 until the last token, then the score of the finished animation, from minus to plus infinity;
    0 of the reward `learned` is the mean of the clone's samples on the training utterances of its
    run (of a run with `--recipe paper`, of the least noisy demonstrations), and a perfect animation
    gets 0 from `accuracy`, `lve` and `eve`. Discount 1. The reward model that ships was trained on
    a larger corpus: on the 112 training utterances that ship the sampled clone gets about -0.4.

    With `reward_timing="chunk"` the same return is paid as it is earned: with the last token of
    every chunk the change of what all chunks up to it have earned (`ChunkedReward.score_chunks`),
    with the last token the rest of the score. What was earned is told from the tokens written so
    far, as if the face stayed as it is until the end: a chunk that the decoder joins to the next
    ones is corrected when they are written. Every chunk is scored as an animation is: an episode of
    16 chunks costs 16 times the reward. Rewards that cannot tell chunks apart are refused; a sum
    needs one term that can, and pays the others at the end.

    ## Start
    An utterance drawn from the split as `sampling` says; `reset(options=...)` with any of
    `utterance` (id or index, of any split), `emotion`, `intensity` (1 to 3), `speaker` replays an
    utterance, or animates it under another condition than the recorded one. Then nobody knows the
    true face: `lve` and `eve` are nan, while a reward that needs ground truth (`accuracy`) compares
    with the recording all the same.

    ## Termination
    `terminated` at the end of the audio. Never `truncated`: there is no artificial limit.

    ## Info
    The same keys from `reset` to the last step: `utterance_id`; `tokens`, shape (longest,), those
    written so far and then -1; `rewards`, the score of each term before its weight; and, unless
    `metrics=False`, `lve` and `eve` in mm (mean over frames of the maximum over the region's
    vertices of the L2 error; nan where the corpus has not captured the region, and of an episode
    under another condition than the recorded one), and what `register_metric` or other packages
    add under their names. Scores and errors are 0 before the end, which `terminated` tells. The
    errors never enter the reward unless it says that it needs them. `sequence_task.corpus.records`
    says what there is to replay, and `sequence_task.recorded_tokens(index)` are the recorded
    motion's tokens.

    ## Arguments
    | argument | default | meaning |
    |---|---|---|
    | `run` | None | run folder of `esarm run`, or `hf://user/name`; None is the task that ships |
    | `task` | None | an `AnimationTask` made by hand |
    | `corpus` | None | name or folder of a corpus; of a `run` whose recordings moved, the place |
    | `reward` | None | name, `RewardFunction`, or weights by name |
    | `split` | `train` | `train`, `validation`, `test` |
    | `sampling` | uniform | weights and buckets, see `Sampling` |
    | `max_duration_s` | None | leave longer utterances out |
    | `action_mask` | None | what `action_masks()` allows |
    | `metrics` | True | whether the last `info` holds LVE, EVE and other registered metrics |
    | `reward_timing` | `terminal` | `chunk` pays each chunk as it is written |
    | `render_mode` | None | `rgb_array` or `human` |
    | `observation` | `slim` | of `gymnasium.make` alone: `slim`, `full_sequence` or `flat` |

    ## Reference scores
    As it comes (reward `learned`), on the 32 validation utterances: mean (standard error) over the
    utterances. `esarm scores` prints it, and that of `ESARM-Short-v0`.

    | policy | return ↑ | LVE, mm ↓ | EVE, mm ↓ |
    |---|---|---|---|
    | random tokens | -9.22 (0.22) | 8.21 (0.19) | 3.89 (0.18) |
    | a face at rest | -6.19 (0.46) | 7.15 (0.29) | 3.32 (0.27) |
    | mean face of the emotion | -3.90 (0.34) | 5.47 (0.14) | 1.55 (0.08) |
    | PPO of Stable-Baselines3, 200,000 tokens | -7.25 (0.37) | 7.87 (0.29) | 3.60 (0.20) |
    | clone, sampled | -0.96 (0.32) | 2.51 (0.14) | 1.68 (0.08) |
    | clone, greedy | -0.39 (0.37) | 1.83 (0.07) | 1.41 (0.08) |
    | clone, expected distance | 0.07 (0.37) | 1.85 (0.06) | 1.18 (0.09) |
    | recording through the tokenizer | -0.79 (0.34) | 0.55 (0.02) | 0.23 (0.01) |
    | recording | 0.58 (0.38) | 0.00 (0.00) | 0.00 (0.00) |

    The return is a learned score, and it can prefer a policy to the truth: `learned` scores
    the recording (through the tokenizer) above the greedy clone in 10 of 32 utterances. Read the
    errors beside it. `spec.reward_threshold` is the return of the clone by expected distance;
    with another `reward`, `run` or `split` it means nothing.

    ## Version history
    * v0: first version.
    """

    # Here by name: who has it is whose `step` it stands for, and a subclass with another is played.
    score_tokens = EpisodeScores.score_tokens

    metadata: dict[str, Any] = {  # noqa: RUF012  # as Gymnasium declares it
        "render_modes": list(RENDER_MODES),
        "render_fps": FRAME_RATE_HZ,
    }

    def __init__(
        self,
        run: str | Path | None = None,
        *,
        task: AnimationTask | None = None,
        corpus: str | None = None,
        reward: RewardChoice = None,
        split: str = "train",
        sampling: Sampling | None = None,
        max_duration_s: float | None = None,
        action_mask: str | BoolArray | None = None,
        metrics: bool = True,
        reward_timing: str = TERMINAL,
        render_mode: str | None = None,
    ) -> None:
        """Open a task and a reward.

        Args:
            run: A run folder of `esarm run`, or `hf://user/name@revision` for one on the Hub: its
                corpus, tokenizer and learned reward are used. Without `run`, `task` and `corpus`,
                what ships with the package.
            task: A task made by hand, instead of that of `run` (whose learned reward still serves).
            corpus: Name or folder of a corpus instead. For a folder, a small tokenizer is trained
                at the first use and cached. Beside `run`: where its recordings are now, if they
                have moved; beside an export, any corpus or folder of speech.
            reward: A registered name (`esarm plugins` lists them), any `RewardFunction`, or weights
                by name, such as `{"learned": 1.0, "jerk": -0.1}`. By default `learned` where the
                task comes with a trained reward model, else `accuracy` (minus LVE and EVE, which
                needs ground truth).
            split: `train`, `validation` or `test`.
            sampling: Weights and buckets of utterances; None draws uniformly.
            max_duration_s: Utterances longer than this many seconds are never drawn, and cannot be
                chosen; the space of `step` shrinks with it.
            action_mask: Which tokens `action_masks` allows in each slot of the chunk: None for all,
                `demonstrated` for those that the training recordings use, or bool of shape
                (tokens_per_chunk, n_tokens). `step` takes any token, masked or not.
            metrics: Whether the last `info` holds LVE, EVE and all other registered metrics.
            reward_timing: `terminal` pays the score with the last token, `chunk` what each chunk
                earned of it with the last token of the chunk; see "Reward" above.
            render_mode: `rgb_array` (`render` returns a picture), `human` (a window; extra
                `render`), or None. Pictures are two chunks behind, see `esarm_env.rendering`.

        Raises:
            InputError: If something is unknown or missing; the message says what is valid.
        """
        self.sequence_task, run = open_problem(run, task=task, corpus=corpus)
        self._rules = EpisodeRules(
            self.sequence_task,
            resolve_reward(reward, self.sequence_task, run),
            split=split,
            sampling=sampling or Sampling(),
            max_duration_s=max_duration_s,
            action_mask=action_mask,
            metrics=metrics,
            reward_timing=reward_timing,
        )
        self.metric_units = self._rules.metric_units
        self.utterances: IntArray = self._rules.utterances
        self.utterance_shares = self._rules.sampler.shares
        self.render_mode = render_mode
        self._renderer = None
        if render_mode is not None:
            self._renderer = EpisodeRenderer(self.sequence_task, render_mode=render_mode)
            fps = Timing.of(self.sequence_task.tokenizer).fps
            self.metadata = {**self.metadata, "render_fps": fps}
        self.action_space = self._rules.action_space()
        self.observation_space: spaces.Space[Any] = self._rules.observation_space()
        self._n_tokens = self.sequence_task.n_tokens
        self._per_chunk = self.sequence_task.tokens_per_chunk
        # As many -1 in front as `last_tokens` shows before the start.
        self._history: IntArray = np.full(self._per_chunk + self._rules.longest, -1)
        self._step = self._length = 0
        self._episode = -1
        self._paid = 0.0  # of the score of this episode
        self._outcome: dict[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an utterance; see "Start" above for `options`."""
        given = check_options(options)
        self._rules.check(given)  # first: a refused option leaves the episode as it was
        super().reset(seed=seed)
        if seed is not None:
            self._episode = -1
        wanted = given.get("utterance")
        if wanted is None:
            number = float(self.np_random.random())
            utterance = self._rules.sampler.draw(number, self._episode + 1)
        else:
            utterance = self._rules.find(wanted)
        self._utterance = utterance
        self._condition = self._rules.condition(utterance, given)
        self._episode += 1
        self._windows = self.sequence_task.windows_of(utterance)
        self._length = int(self.sequence_task.lengths[utterance])
        self._step, self._paid = 0, 0.0
        self._history.fill(-1)
        self._outcome = {}
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info()

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Write one token.

        Raises:
            InputError: If `action` is no token.
            gymnasium.error.ResetNeeded: Before the first reset, and after the last token.
        """
        if self._step >= self._length:
            state = "ended" if self._length else "not begun"
            raise gymnasium.error.ResetNeeded(
                f"`step` must follow `reset`, got an episode that has {state}"
            )
        self._history[self._per_chunk + self._step] = self._checked(action)
        self._step += 1
        terminated = self._step == self._length
        reward, info = self._finish() if terminated else (self._chunk_reward(), self._info())
        if self.render_mode == "human":
            self.render()
        return self._observe(), reward, terminated, False, info

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """As Gymnasium's; what has no effect is refused, and not left on a wrapper.

        Raises:
            InputError: If `name` is an argument of the constructor.
        """
        if is_argument(self, name):
            setattr(self, name, value)  # says so
        return super().set_wrapper_attr(name, value, force=force)

    def render(self) -> Any:
        """Return a picture, (480, 480, 3) uint8, with `rgb_array`; show it with `human`."""
        if self._renderer is None:
            gymnasium.logger.warn("`render_mode` must be set to render, got None")
            return None
        return self._renderer.render(self.episode_view())

    def episode_view(self) -> EpisodeView:
        """Return a snapshot of the episode, for a renderer.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if not self._length:
            raise gymnasium.error.ResetNeeded("`render` must follow `reset`, got none")
        tokens = self._history[self._per_chunk : self._per_chunk + self._step].copy()
        return EpisodeView(
            self.sequence_task,
            self._utterance,
            tokens,
            self._length,
            self._condition,
            self._outcome,
            self.metric_units,
        )

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()

    def action_masks(self) -> BoolArray:
        """Return which tokens may come next, shape (n_tokens,); sb3-contrib looks for this name."""
        mask: BoolArray = self._rules.mask[self._step % self._per_chunk]
        return mask.copy()

    def _checked(self, action: SupportsIndex) -> int:
        try:
            token = operator.index(action)
        except TypeError:
            token = -1
        if not 0 <= token < self._n_tokens:
            raise InputError(
                f"`action` must be an integer in 0..{self._n_tokens - 1}, got {action!r}"
            )
        return token

    def _info(self) -> dict[str, Any]:
        """Return the infos of an episode under way: those of its end, with 0 for scores.

        Recorders of whole episodes need one structure at every step; Gymnasium's checker, no nan.
        """
        return {
            "rewards": dict.fromkeys(self.reward_function.terms, 0.0),
            "tokens": self._history[self._per_chunk :].copy(),
            "utterance_id": self.sequence_task.corpus.records[self._utterance].id,
            **dict.fromkeys(self.metric_units, 0.0),
        }

    def _observe(self) -> Observation:
        step = self._step
        chunk = min(step // self._per_chunk, len(self._windows) - 1)
        return {
            "audio": self._windows[chunk].copy(),
            "condition": self._condition.copy(),
            "last_tokens": self._history[step : step + self._per_chunk].copy(),
            "step": np.array([step]),
            "utterance": np.array([self._utterance]),
        }

    def _chunk_reward(self) -> float:
        """Return what a chunk that has just been written earned, 0 within one."""
        if not self._rules.pays_by_chunk or self._step % self._per_chunk:
            return 0.0
        written = np.array([self._step])
        held = held_to_end(
            np.array([self._utterance]),
            self._history[None, self._per_chunk :],
            written,
            task=self.sequence_task,
            condition=self._condition[None].copy(),
        )
        before, self._paid = self._paid, float(self._rules.earned(held, written)[0])
        return self._paid - before

    def _finish(self) -> tuple[float, dict[str, Any]]:
        info = self._info()
        trajectory = Trajectories(
            np.array([self._utterance]),
            info["tokens"][None, : self._length].copy(),  # a copy, which a reward may overwrite
            np.array([self._length]),
            self._condition[None].copy(),
        )
        outcome = self._rules.finish(trajectory)
        info["rewards"] = {name: float(scores[0]) for name, scores in outcome.terms.items()}
        info |= {name: float(values[0]) for name, values in outcome.errors.items()}
        self._outcome = dict(info)  # a copy, as wrappers add keys to the returned one
        return float(outcome.total[0]) - self._paid, info

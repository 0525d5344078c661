"""`SpeechAnimationVectorEnv`: native vector `ESARM-v0`, step for step equal to the scalar one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from esarm_env.core.errors import InputError
from esarm_env.core.types import BoolArray, DoubleArray, IntArray, Trajectories
from esarm_env.envs.chunk_payments import TERMINAL
from esarm_env.envs.environment_access import EnvironmentAccess
from esarm_env.envs.episode_rules import EpisodeRules, Outcome, check_mapping, check_options
from esarm_env.envs.episode_scores import EpisodeScores
from esarm_env.envs.episode_slots import EpisodeSlots, Observation
from esarm_env.envs.options_and_infos import Infos, add_infos, check_count, check_mask, options_of
from esarm_env.envs.sampling import Generators, Sampling, Seeds
from esarm_env.rendering import EpisodeRenderer, Timing
from esarm_env.rewards import RewardChoice, resolve_reward
from esarm_env.task.opening import open_problem

if TYPE_CHECKING:
    from esarm_env.rendering.text import Picture
    from esarm_env.task.animation_task import AnimationTask

RGB_ARRAY = "rgb_array"


@dataclass(frozen=True)
class FinishedEpisodes:
    """Batch of finished episodes with their deferred scores.

    Attributes:
        env: Shape (N,), which environment.
        step: Shape (N,), calls of `step` since the last reset of all environments, the one that
            ended the episode counted: 1 and up.
        trajectories: The N animations.
        outcome: Scores, terms and errors, (N,) each.
    """

    env: IntArray
    step: IntArray
    trajectories: Trajectories
    outcome: Outcome


class SpeechAnimationVectorEnv(
    EnvironmentAccess, EpisodeScores, VectorEnv[Observation, IntArray, npt.NDArray[Any]]
):
    """Native vector environment, a hundred times faster than `SyncVectorEnv` over scalar ones.

    Equal to `SyncVectorEnv` over scalar environments in everything that `reset` and `step` return,
    given equal seeds, in all three autoreset modes. Episodes that end in one step are scored in one
    batch. `gymnasium.make_vec("ESARM-v0", num_envs=256)` makes one.

    `reset(options=...)` takes, beside the scalar environment's options, one value per environment
    for each of them (a sequence of `num_envs`), and `reset_mask`, bool (num_envs,), which leaves
    the other environments where they are and keeps what waits for `score_finished`.
    """

    score_tokens = EpisodeScores.score_tokens  # here by name, as in `SpeechAnimationEnv`

    def __init__(
        self,
        num_envs: int = 1,
        run: str | Path | None = None,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        defer_rewards: bool = False,
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
            num_envs: Episodes at once, at least 1.
            run: As of `SpeechAnimationEnv`, and so are all keywords that are not named here.
            autoreset_mode: `NextStep` (Gymnasium's default), `SameStep` or `Disabled`.
            defer_rewards: Pay 0 at the end of an episode and keep its trajectory for
                `score_finished`, so that a trainer scores all episodes of a roll-out in one batch;
                `info` then lacks scores and errors.
            task: See above.
            corpus: See above.
            reward: See above.
            split: See above.
            sampling: See above.
            max_duration_s: See above.
            action_mask: See above.
            metrics: See above.
            reward_timing: See above; `chunk` scores all chunks that end in a step in one batch.
            render_mode: `rgb_array` or None: windows are for one episode.

        Raises:
            InputError: If something is unknown or missing; the message says what is valid.
        """
        super().__init__()
        self.num_envs = num_envs = check_count(num_envs, name="num_envs")
        self.autoreset_mode = _mode(autoreset_mode)
        if render_mode not in (None, RGB_ARRAY):
            raise InputError(f"`render_mode` must be {RGB_ARRAY} or None, got {render_mode!r}")
        self.render_mode = render_mode
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
        self._renderer = EpisodeRenderer(self.sequence_task) if render_mode else None
        self.metadata = {
            "render_modes": [RGB_ARRAY],
            "render_fps": Timing.of(self.sequence_task.tokenizer).fps,
            "autoreset_mode": self.autoreset_mode,
        }
        self.metric_units = self._rules.metric_units
        self.utterances: IntArray = self._rules.utterances
        self.utterance_shares = self._rules.sampler.shares
        self.single_action_space = self._rules.action_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.single_observation_space = self._rules.observation_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._slots = EpisodeSlots(self.sequence_task, num_envs, longest=self._rules.longest)
        self._ids = np.array([record.id for record in self.sequence_task.corpus.records], object)
        self._n_tokens = self.sequence_task.n_tokens
        self._generators = Generators(num_envs)
        self._episode: IntArray = np.full(num_envs, -1)
        self._all, self._every = np.arange(num_envs), np.ones(num_envs, dtype=np.bool_)
        self._waiting: BoolArray = np.zeros(num_envs, dtype=np.bool_)  # ended, not reset yet
        self._ready = False
        self._paid: DoubleArray = np.zeros(num_envs)  # of the scores of these episodes
        self._defer = defer_rewards
        if defer_rewards and self._rules.pays_by_chunk:
            raise InputError(
                "`defer_rewards` must be False with `reward_timing='chunk'`, got True: what is "
                "scored later cannot be paid by chunk; leave one of them out"
            )
        self._n_steps = 0
        self._finished: list[tuple[IntArray, int, Trajectories]] = []

    def reset(
        self, *, seed: Seeds = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Infos]:
        """Start episodes; see the class for `options`.

        Args:
            seed: One number (environment `i` gets `seed + i`), a list of `num_envs`, or None.
            options: See the class.

        Raises:
            InputError: If a seed or an option is not valid.
        """
        given = check_mapping(options)
        partial = "reset_mask" in given
        mask = check_mask(given.pop("reset_mask", None), num_envs=self.num_envs)
        given = check_options(given)
        if not self._ready and not mask.all():
            raise gymnasium.error.ResetNeeded(
                "`reset_mask` must follow a reset of all environments, got none"
            )
        rows = mask.nonzero()[0]
        # First: what is refused leaves the episodes as they were.
        seeds = self._generators.seeds_of_rows(seed)
        chosen = [options_of(given, row, num_envs=self.num_envs) for row in rows.tolist()]
        for each in chosen if given else ():
            self._rules.check(each)
        self._seed(rows, seeds)
        self._begin(rows, options=chosen if given else None)
        self._waiting = self._waiting & ~mask
        if not partial:
            self._n_steps = 0
            self._finished.clear()
        self._ready = True
        infos: Infos = {}
        add_infos(infos, self._running(rows), rows, mask=mask)
        return self._slots.observe(), infos

    def step(
        self, actions: IntArray
    ) -> tuple[Observation, DoubleArray, BoolArray, BoolArray, Infos]:
        """Write one token in every environment, shape (num_envs,).

        Raises:
            InputError: If `actions` are no tokens.
            gymnasium.error.ResetNeeded: Before the first reset, after a step that failed, and,
                with the autoreset mode `Disabled`, while an episode that ended waits for one.
        """
        tokens = self._checked(actions)
        late = self._waiting.nonzero()[0]
        if len(late) and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gymnasium.error.ResetNeeded(
                "`step` must follow `reset` of the environments that ended, got "
                f"{len(late)} that have, the first is {late[0]}; "
                "reset them with `options={'reset_mask': ...}`"
            )
        self._ready = False  # an error below leaves half a step: only `reset` helps then
        self._slots.append(tokens)
        self._n_steps += 1
        terminated: BoolArray = self._slots.step == self._slots.length
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        rewards = np.zeros(self.num_envs)
        if self._rules.pays_by_chunk:
            self._pay_chunks(rewards)
        ended = terminated.nonzero()[0]
        finished = self._end(ended, rewards) if len(ended) else {}
        if len(late):
            self._begin(late)
        infos: Infos = {}
        add_infos(infos, self._running(self._all), self._all, mask=self._every)
        add_infos(infos, finished, ended, mask=terminated)
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._waiting = terminated.copy()
        self._ready = True
        return self._slots.observe(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Picture, ...] | None:
        """Return a picture of every episode, (480, 480, 3) uint8 each.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if self._renderer is None:
            gymnasium.logger.warn("`render_mode` must be set to render, got None")
            return None
        if not self._slots.length.all():
            raise gymnasium.error.ResetNeeded("`render` must follow `reset`, got none")
        return self._renderer.frames([self._slots.view(row) for row in range(self.num_envs)])

    def score_finished(self) -> FinishedEpisodes:
        """Score the episodes that ended since the last call or reset, all in one batch.

        Raises:
            RuntimeError: If rewards are not deferred.
            RewardError: If a reward fails; the episodes are kept, and can be scored again.
        """
        if not self._defer:
            raise RuntimeError(
                "`score_finished` needs an environment made with `defer_rewards=True`, "
                "this one was made with False"
            )
        if not self._finished:
            raise RuntimeError(
                "no episode has ended since the last call of `score_finished` or `reset`; "
                "call `step` until one does"
            )
        env, step, parts = zip(*self._finished, strict=True)
        trajectories = Trajectories.concatenate(list(parts))
        outcome = self._rules.finish(trajectories)
        self._finished.clear()
        steps = np.repeat(step, [len(rows) for rows in env])
        return FinishedEpisodes(np.concatenate(env), steps, trajectories, outcome)

    def action_masks(self) -> BoolArray:
        """Return which tokens may come next, shape (num_envs, n_tokens)."""
        return self._rules.mask[self._slots.step % len(self._rules.mask)]

    @property  # type: ignore[misc]  # as `SyncVectorEnv`: a tuple, and nothing sets it
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The random generators of the environments, as `SyncVectorEnv` has them."""
        return tuple(self._generators[row] for row in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the environments' generators."""
        return tuple(self._generators.seed_of(row) for row in range(self.num_envs))

    def _seed(self, rows: IntArray, seeds: Sequence[int | None]) -> None:
        for row in rows.tolist():
            if seeds[row] is not None:
                self._generators.seed(row, seeds[row])
                self._episode[row] = -1

    def _begin(self, rows: IntArray, *, options: list[dict[str, Any]] | None = None) -> None:
        """Start an episode in each of `rows`, shape (n,), as its `options` say."""
        if options is not None:
            utterances = self._choose(rows, [given.get("utterance") for given in options])
            pairs = zip(utterances.tolist(), options, strict=True)
            conditions = np.stack([self._rules.condition(*pair) for pair in pairs])
        else:
            utterances = self._draw(rows)
            conditions = self.sequence_task.condition_of(utterances)
        self._slots.begin(rows, utterances, conditions)
        self._paid[rows] = 0
        self._episode[rows] += 1

    def _draw(self, rows: IntArray) -> IntArray:
        numbers = self._generators.random(rows)
        return self._rules.sampler.draw_many(numbers, self._episode[rows] + 1)

    def _choose(self, rows: IntArray, wanted: list[Any]) -> IntArray:
        """Return one utterance per row: the wanted one, or a random draw for None."""
        found = np.array([-1 if value is None else self._rules.find(value) for value in wanted])
        free = found < 0
        if free.any():
            found[free] = self._draw(rows[free])
        return found

    def _checked(self, actions: Any) -> IntArray:
        """Return `actions` as an array (num_envs,) of tokens."""
        if not self._ready:
            raise gymnasium.error.ResetNeeded(
                "`step` must follow `reset`, got environments that have not begun, "
                "or whose last step failed"
            )
        tokens = np.asarray(actions)
        if tokens.shape != (self.num_envs,) or tokens.dtype.kind not in "iu":
            raise InputError(
                f"`actions` must be integers of shape ({self.num_envs},), "
                f"got {tokens.dtype} {tokens.shape}"
            )
        n_tokens = self._n_tokens
        if np.maximum.reduce(tokens.astype(np.uint64)) >= n_tokens:  # a negative one is huge, too
            row = int(np.flatnonzero((tokens < 0) | (tokens >= n_tokens))[0])
            raise InputError(
                f"`actions` must be in 0..{n_tokens - 1}, got {tokens[row]} for environment {row}"
            )
        return tokens

    def _pay_chunks(self, rewards: DoubleArray) -> None:
        """Put into `rewards` (num_envs,) what chunks that have just been written earned."""
        step = self._slots.step
        # One that ended and waits for a reset is past its length.
        in_full = (step % self.sequence_task.tokens_per_chunk == 0) & (step < self._slots.length)
        rows = in_full.nonzero()[0]
        if len(rows):
            earned = self._rules.earned(self._slots.held(rows), step[rows])
            rewards[rows] = earned - self._paid[rows]
            self._paid[rows] = earned

    def _end(self, ended: IntArray, rewards: DoubleArray) -> dict[str, Any]:
        """Score the ended episodes, rows `ended` (n,), and return what `infos` say of them.

        In `SameStep` mode the rows begin anew; else their infos are those of their last step.
        """
        trajectories, tokens = self._slots.finished(ended)
        info: dict[str, Any] = {
            "tokens": tokens,
            "utterance_id": self._ids[trajectories.utterance],
        }
        if self._defer:
            self._finished.append((ended, self._n_steps, trajectories))
        else:
            outcome = self._rules.finish(trajectories)
            rewards[ended] = outcome.total - self._paid[ended]
            info |= _as_double(outcome.info())
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return info
        last = np.empty(len(ended), dtype=object)
        last[:] = self._slots.observe_ended(ended)
        self._begin(ended)
        return {"final_obs": last, "final_info": info}

    def _running(self, rows: IntArray) -> dict[str, Any]:
        """Return the infos of episodes under way, rows (n,): as at their ends, scores 0."""
        info: dict[str, Any] = {
            "tokens": self._slots.tokens(rows),
            "utterance_id": self._ids[self._slots.utterance[rows]],
        }
        if not self._defer:
            unknown = np.zeros(len(rows))
            info["rewards"] = dict.fromkeys(self.reward_function.terms, unknown)
            info |= dict.fromkeys(self.metric_units, unknown)
        return info


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(known.value for known in AutoresetMode)
        raise InputError(f"`autoreset_mode` must be one of {known}, got {mode!r}") from None


def _as_double(values: dict[str, Any]) -> dict[str, Any]:
    """Convert arrays to float64, Gymnasium's dtype for floats in `infos`."""
    return {
        key: _as_double(value) if isinstance(value, dict) else value.astype(np.float64)
        for key, value in values.items()
    }

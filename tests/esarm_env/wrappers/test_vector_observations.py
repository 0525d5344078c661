"""The vector twins equal their scalar ones row by row, whenever and however episodes end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space

from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask
from esarm_env.wrappers import FlatObservation, FullSequenceObservation, vector

MakeSlim = Callable[[], SpeechAnimationEnv]
N_ENVS = 3
TWINS = [
    (FlatObservation, vector.FlatObservation),
    (FullSequenceObservation, vector.FullSequenceObservation),
]
twins = pytest.mark.parametrize(("scalar", "twin"), TWINS, ids=["flat", "full_sequence"])
modes = pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)


def rollout(envs: Any, *, n_steps: int = 130) -> Iterator[tuple[Any, ...]]:
    """Yield all that a seeded rollout shows; in DISABLED mode, reset what has ended."""
    actions = np.random.default_rng(0)
    yield envs.reset(seed=11)
    disabled = envs.metadata["autoreset_mode"] == AutoresetMode.DISABLED
    for _ in range(n_steps):
        step = envs.step(actions.integers(16, size=N_ENVS))
        yield step
        if disabled and step[2].any():
            yield envs.reset(options={"reset_mask": step[2].copy()})


def listed(value: Any) -> Any:
    """Return `value` with its arrays of objects as lists, which numpy can compare."""
    if isinstance(value, dict):
        return {key: listed(part) for key, part in value.items()}
    if isinstance(value, tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [listed(part) for part in value]
    return value


@twins
@modes
def test_vector_and_scalar_show_the_same(
    make_slim: MakeSlim, scalar: Any, twin: Any, mode: AutoresetMode
) -> None:
    """Three utterances of unequal length end at different steps, about three times each."""
    fast = twin(SyncVectorEnv([make_slim] * N_ENVS, autoreset_mode=mode))
    slow = SyncVectorEnv([lambda: scalar(make_slim())] * N_ENVS, autoreset_mode=mode)
    ends, together = 0, list(zip(rollout(fast), rollout(slow), strict=True))
    for seen, expected in together:
        np.testing.assert_equal(listed(seen), listed(expected))
        assert fast.observation_space.contains(seen[0])
        ends += int(seen[2].sum()) if len(seen) == 5 else 0
    assert ends >= 6, "episodes must end, or nothing is tested"
    finals = [seen[-1]["final_obs"] for seen, _ in together if "final_obs" in seen[-1]]
    assert bool(finals) == (mode == AutoresetMode.SAME_STEP)
    for obs in (obs for row in finals for obs in row if obs is not None):
        assert fast.single_observation_space.contains(obs)


@twins
@modes
def test_the_native_environment_shows_the_same(
    tiny_task: AnimationTask, scalar: Any, twin: Any, mode: AutoresetMode
) -> None:
    """The fast pair, and the slow one: with utterances left out, so that sequences are shorter."""
    given: dict[str, Any] = {
        "task": tiny_task,
        "reward": "accuracy",
        "metrics": False,
        "max_duration_s": 1.0,
    }
    fast = twin(SpeechAnimationVectorEnv(N_ENVS, autoreset_mode=mode, **given))
    slow = SyncVectorEnv(
        [lambda: scalar(SpeechAnimationEnv(**given))] * N_ENVS, autoreset_mode=mode
    )
    for seen, expected in zip(rollout(fast), rollout(slow), strict=True):
        np.testing.assert_equal(seen[0], expected[0])
        final, expected_final = (step[-1].get("final_obs", ()) for step in (seen, expected))
        np.testing.assert_equal(list(final), list(expected_final))
    assert fast.observation_space == slow.observation_space
    if "tokens" in seen[0]:
        assert seen[0]["tokens"].shape == (N_ENVS, 32), "30 frames are 8 chunks, 32 tokens"


@twins
def test_final_observations_are_of_the_episode_that_ended(
    make_slim: MakeSlim, scalar: Any, twin: Any
) -> None:
    """Encoded after the reset, they would show the first observation of the next episode."""
    envs = SyncVectorEnv([make_slim] * N_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
    seen = list(rollout(vector.FullSequenceObservation(envs)))
    history: list[list[int]] = [[] for _ in range(N_ENVS)]
    actions, ended = np.random.default_rng(0), 0
    for obs, _, terminations, _, infos in seen[1:]:
        for row, action in enumerate(actions.integers(16, size=N_ENVS)):
            history[row].append(int(action))
            if terminations[row]:
                ended += 1
                final = infos["final_obs"][row]
                assert final["tokens"][final["tokens_mask"] == 1].tolist() == history[row]
                assert final["step"] == final["length"] == len(history[row])
                assert obs["step"][row] == 0 and (obs["tokens"][row] == -1).all()
                history[row] = []
    assert ended >= 6


def test_rows_that_are_not_reset_keep_their_history(make_slim: MakeSlim) -> None:
    """A partial reset that cleared all rows would take their past from running episodes."""
    envs = vector.FullSequenceObservation(
        SyncVectorEnv([make_slim] * N_ENVS, autoreset_mode=AutoresetMode.DISABLED)
    )
    envs.reset(seed=0)
    for token in (4, 8, 12):
        before = envs.step(np.full(N_ENVS, token))[0]
    mask = np.array([False, True, False])
    after = envs.reset(options={"reset_mask": mask})[0]
    assert after["step"][:, 0].tolist() == [3, 0, 3]
    for key, values in after.items():
        np.testing.assert_array_equal(values[~mask], before[key][~mask], err_msg=key)
    assert after["tokens"][0, :4].tolist() == [4, 8, 12, -1]
    assert (after["tokens"][1] == -1).all()
    going_on = envs.step(np.full(N_ENVS, 1))[0]["tokens"][:, :4]
    assert going_on.tolist() == [[4, 8, 12, 1], [1, -1, -1, -1], [4, 8, 12, 1]]


@twins
@modes
def test_spaces_and_metadata_are_those_of_the_twin(
    make_slim: MakeSlim, scalar: Any, twin: Any, mode: AutoresetMode
) -> None:
    """Trainers size their buffers by the spaces and read the mode from the metadata."""
    inner = SyncVectorEnv([make_slim] * 2, autoreset_mode=mode)
    envs, single = twin(inner), scalar(make_slim())
    assert envs.single_observation_space == single.observation_space
    assert envs.observation_space == batch_space(single.observation_space, 2)
    assert envs.metadata["autoreset_mode"] == mode
    assert (envs.num_envs, envs.single_action_space) == (2, single.action_space)
    assert inner.single_observation_space == make_slim().observation_space, "left as it was"


@twins
def test_observations_share_no_memory(
    make_slim: MakeSlim, scalar: Any, twin: Any, assert_separate: Callable[..., None]
) -> None:
    """Not even over an environment that hands out one array again and again."""
    mode = AutoresetMode.SAME_STEP
    envs = twin(SyncVectorEnv([make_slim] * N_ENVS, copy=False, autoreset_mode=mode))
    seen = list(rollout(envs, n_steps=50))
    kept = [step[0] for step in seen[:4] + seen[-4:]]
    finals = [step[-1]["final_obs"] for step in seen if "final_obs" in step[-1]]
    assert finals
    assert_separate(*kept, *finals[:2], vars(envs._encoder))


def test_infos_below_stay_as_they_were(make_slim: MakeSlim) -> None:
    """The environment may keep what it returned; only our copy is encoded."""

    class Keeping(SyncVectorEnv):
        def step(self, actions: Any) -> Any:
            self.last = super().step(actions)
            return self.last

    inner = Keeping([make_slim] * N_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
    for *_, infos in rollout(vector.FlatObservation(inner), n_steps=50):
        if "final_obs" in infos:
            break
    (row, *_) = np.flatnonzero(infos["_final_obs"])
    assert isinstance(infos["final_obs"][row], np.ndarray)
    assert set(inner.last[-1]["final_obs"][row]) > {"audio", "step"}


def test_the_flat_twin_tells_its_slices(make_slim: MakeSlim) -> None:
    """Networks over vector environments need the layout as well."""
    envs = vector.FlatObservation(SyncVectorEnv([make_slim]))
    assert envs.slices == FlatObservation(make_slim()).slices


def test_other_observations_are_refused() -> None:
    """As the scalar twins do, before anything is stepped."""
    with pytest.raises(InputError, match=r"must give the slim observation .* got Box;"):
        vector.FlatObservation(SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")]))

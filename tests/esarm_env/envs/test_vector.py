"""The native vector environment: equal to `SyncVectorEnv` over scalar ones, step for step."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from esarm_env.audio.store import FeatureStore
from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus, Trajectories
from esarm_env.envs.sampling import Sampling
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask

NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
MODES = (NEXT, SAME, DISABLED)
Twins = tuple[SpeechAnimationVectorEnv, SyncVectorEnv]
MakeTwins = Callable[..., Twins]


class Fingerprint:
    """A score that no two animations share, and that no rounding changes."""

    needs_ground_truth = False

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, trajectories: Trajectories) -> np.ndarray:
        self.batches.append(len(trajectories))
        tokens, condition = trajectories.tokens, trajectories.condition
        words = (tokens + 1) * np.arange(1, tokens.shape[1] + 1)  # padding counts nothing
        labels = condition @ np.arange(1, condition.shape[1] + 1)
        return (words.sum(axis=1) + 7 * trajectories.utterance + labels).astype(np.float32)


@pytest.fixture
def make_twins(tiny_task: AnimationTask) -> MakeTwins:
    """Return a maker of the native environment and of `SyncVectorEnv` over scalar ones."""

    def make(n: int = 3, mode: AutoresetMode = NEXT, **settings: Any) -> Twins:
        chosen = {"task": tiny_task, "reward": Fingerprint(), "metrics": False, **settings}
        ours = SpeechAnimationVectorEnv(n, autoreset_mode=mode, **chosen)
        scalar = [lambda: SpeechAnimationEnv(**chosen)] * n
        return ours, SyncVectorEnv(scalar, autoreset_mode=mode)

    return make


@pytest.fixture
def short_task(
    tiny_task: AnimationTask, tiny_corpus: Corpus, make_corpus: Callable[..., Corpus]
) -> AnimationTask:
    """Return a task of episodes of 4, 8 and 12 steps: nearly every step ends one."""
    cut = []
    for index, n_frames in enumerate((1, 4, 5, 2, 12, 3)):
        whole = tiny_corpus[index]
        record = dataclasses.replace(whole.record, n_frames=n_frames)
        cut.append(dataclasses.replace(whole, record=record, motion=whole.motion[:n_frames]))
    rows = [tiny_task.features[i][: u.record.n_frames] for i, u in enumerate(cut)]
    features = FeatureStore(np.concatenate(rows).astype(np.float16), [len(row) for row in rows])
    return dataclasses.replace(
        tiny_task, corpus=make_corpus(cut, {"train": range(6)}), features=features
    )


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """Return all that `value` holds by its place; arrays of objects are entered, too."""
    if isinstance(value, np.ndarray) and value.dtype == np.object_:
        value = list(value)
    if isinstance(value, dict):
        parts = [leaves(each, f"{at}/{key}") for key, each in value.items()]
    elif isinstance(value, list | tuple):
        parts = [leaves(each, f"{at}/{index}") for index, each in enumerate(value)]
    else:
        return {at: value}
    return {place: leaf for part in parts for place, leaf in part.items()}


def assert_same(ours: Any, theirs: Any, *, rtol: float = 0) -> None:
    """Check places, types, dtypes, shapes and values; floats of scores may differ by `rtol`."""
    ours, theirs = leaves(ours), leaves(theirs)
    assert ours.keys() == theirs.keys()
    for place, leaf in ours.items():
        other = theirs[place]
        assert type(leaf) is type(other), place
        if isinstance(leaf, np.ndarray):
            assert (leaf.dtype, leaf.shape) == (other.dtype, other.shape), place
            if leaf.tobytes() == other.tobytes():
                continue
        if rtol and getattr(leaf, "dtype", None) == np.float64:
            np.testing.assert_allclose(leaf, other, rtol=rtol, err_msg=place)
        else:
            np.testing.assert_array_equal(leaf, other, err_msg=place)


def run_both(twins: Twins, n_steps: int, *, seed: int = 0, rtol: float = 0) -> int:
    """Step both with equal actions, reset by mask what ended if nothing else does, count ends."""
    ours, theirs = twins
    actions, n_ended = np.random.default_rng(seed), 0
    for _ in range(n_steps):
        action = actions.integers(16, size=ours.num_envs)
        seen = ours.step(action)
        assert_same(seen, theirs.step(action), rtol=rtol)
        n_ended += int(seen[2].sum())
        if seen[2].any() and ours.autoreset_mode is DISABLED:
            reset_both(twins, options={"reset_mask": seen[2]})
    return n_ended


def reset_both(twins: Twins, **arguments: Any) -> None:
    """Reset both alike, and check that they begin alike."""
    seen = []
    for env in twins:
        given = dict(arguments)
        if given.get("options") is not None:
            given["options"] = dict(given["options"])  # `SyncVectorEnv` takes the mask out of it
        seen.append(env.reset(**given))
    assert_same(*seen)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("mode", MODES)
def test_steps_equal_those_of_scalar_environments(
    make_twins: MakeTwins, mode: AutoresetMode, n: int
) -> None:
    """Nobody would trust a fast environment that plays another game than the documented one."""
    twins = make_twins(n, mode)
    reset_both(twins, seed=11)
    assert run_both(twins, 200) >= 4 * n


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("mode", MODES)
def test_short_episodes_end_alike(
    make_twins: MakeTwins, short_task: AnimationTask, mode: AutoresetMode, n: int
) -> None:
    """Ends and beginnings in one step: infos of both must stand in the right rows."""
    twins = make_twins(n, mode, task=short_task)
    reset_both(twins, seed=3)
    assert run_both(twins, 120) >= 10 * n


@pytest.mark.parametrize("mode", [SAME, NEXT])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling({"anna-00": 1.0, "ben-04": 2.5, "cleo-06": 0.25}),
        Sampling(lambda record: float(record.n_frames) if record.emotion != "sad" else 0.0),
        Sampling(n_buckets=3),
        Sampling({"anna-00": 1.0, "ben-04": 2.5, "cleo-06": 0.25}, n_buckets=4),
        Sampling(n_buckets=50),
    ],
)
def test_draws_equal_those_of_scalar_environments(
    make_twins: MakeTwins, mode: AutoresetMode, sampling: Sampling
) -> None:
    """Many rows are looked up at once; a bucket of the wrong row would go unseen."""
    twins = make_twins(4, mode, sampling=sampling)
    reset_both(twins, seed=5)
    assert run_both(twins, 130) >= 8


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("reward", "metrics"),
    [("accuracy", True), ({"accuracy": 1.0, "lve": -0.5}, True), ({"eve": 2, "lve": 0}, False)],
)
def test_scores_equal_those_of_scalar_environments(
    make_twins: MakeTwins, mode: AutoresetMode, reward: Any, metrics: bool
) -> None:
    """Scored in one batch with longer ones, a short animation must be worth the same."""
    twins = make_twins(3, mode, reward=reward, metrics=metrics)
    reset_both(twins, seed=2, options={"utterance": 6})
    assert run_both(twins, 70, rtol=1e-5) >= 6


@pytest.mark.parametrize("mode", MODES)
def test_any_history_goes_alike(
    make_twins: MakeTwins, short_task: AnimationTask, mode: AutoresetMode
) -> None:
    """Seeds, masks and options in any order, with steps between: what users do, not what we do."""
    n, rng = 3, np.random.default_rng(8)
    twins = make_twins(n, mode, task=short_task, sampling=Sampling(n_buckets=2))
    reset_both(twins, seed=0)
    for turn in range(60):
        seeds = [None, turn, [turn, None, 7], [None, None, None]][rng.integers(4)]
        options: dict[str, Any] = {}
        if rng.random() < 0.5:
            options["utterance"] = [None, 4, "anna-01"][rng.integers(3)]
        if rng.random() < 0.5:
            options["emotion"] = "fear"
        if rng.random() < 0.3:
            options |= {"intensity": 2, "speaker": [None, "ben"][rng.integers(2)]}
        mask = rng.random(n) < 0.5
        if rng.random() < 0.7 and mask.any():
            options["reset_mask"] = mask
        reset_both(twins, seed=seeds, options=options or None)
        run_both(twins, int(rng.integers(1, 9)), seed=turn)


def test_it_says_of_itself_what_the_scalar_ones_say(make_twins: MakeTwins) -> None:
    """Trainers size their networks and buffers by it."""
    ours, theirs = make_twins(3, SAME)
    for name in ("observation_space", "action_space", "num_envs", "render_mode"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("single_observation_space", "single_action_space"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for key in ("autoreset_mode", "render_fps"):
        assert ours.metadata[key] == theirs.metadata[key], key
    reset_both((ours, theirs), seed=[4, 9, 2])
    assert ours.np_random_seed == theirs.np_random_seed == (4, 9, 2)
    run_both((ours, theirs), 60)
    states = [[each.bit_generator.state for each in env.np_random] for env in (ours, theirs)]
    assert states[0] == states[1]


@pytest.mark.parametrize("mode", MODES)
def test_masks_equal_those_of_scalar_environments(
    make_twins: MakeTwins, tiny_task: AnimationTask, mode: AutoresetMode
) -> None:
    """A mask of the slot before would forbid what the demonstrations do."""
    mask = np.random.default_rng(0).random((4, 16)) < 0.4
    mask[:, 0] = True
    twins = make_twins(3, mode, action_mask=mask)
    ours, theirs = twins
    reset_both(twins, seed=1)
    for step in range(100):
        masks = ours.action_masks()
        np.testing.assert_array_equal(masks, np.stack(theirs.call("action_masks")))
        masks[:] = False
        run_both(twins, 1, seed=step)
    assert (ours.action_masks().shape, ours.action_masks().dtype) == ((3, 16), np.bool_)


def test_whole_batches_score_as_scalar_ones(make_twins: MakeTwins) -> None:
    """Sequence trainers ask for `score_tokens`, whichever environment they have."""
    ours, theirs = make_twins(2)
    batch = ours.sequence_task.recorded(np.array([4, 6, 10]))
    arrays = (batch.utterance, batch.tokens, batch.lengths, batch.condition)
    np.testing.assert_array_equal(
        ours.score_tokens(*arrays), theirs.envs[0].unwrapped.score_tokens(*arrays)
    )
    np.testing.assert_array_equal(ours.utterances, np.arange(8))


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_wrappers_of_gymnasium_see_no_difference(
    make_twins: MakeTwins, short_task: AnimationTask, mode: AutoresetMode
) -> None:
    """Episode statistics are what everybody wraps first."""
    ours, theirs = (RecordEpisodeStatistics(env) for env in make_twins(2, mode, task=short_task))
    assert_same(ours.reset(seed=0), theirs.reset(seed=0))
    for step in range(40):
        action = np.full(2, step % 16)
        seen, expected = ours.step(action), theirs.step(action)
        for infos in (seen[4], expected[4]):
            infos.get("episode", {}).pop("t", None)  # of the clock
        assert_same(seen, expected)
    np.testing.assert_array_equal(ours.return_queue, theirs.return_queue)
    assert len(ours.length_queue) > 5


def arrays_of(value: Any) -> list[np.ndarray]:
    return [leaf for leaf in leaves(value).values() if isinstance(leaf, np.ndarray)]


@pytest.mark.parametrize("mode", MODES)
def test_no_memory_is_shared(
    make_twins: MakeTwins, short_task: AnimationTask, mode: AutoresetMode
) -> None:
    """A buffer that keeps references would hold the last step many times."""
    env, _ = make_twins(3, mode, task=short_task)
    last = arrays_of(env.reset(seed=0))
    for step in range(40):
        seen = env.step(np.full(3, step % 16))
        arrays = arrays_of(seen)
        if mode is DISABLED and seen[2].any():
            arrays += arrays_of(env.reset(options={"reset_mask": seen[2]}))
        for one, other in product(arrays, last):
            assert not np.shares_memory(one, other)
        for index, one in enumerate(arrays):
            assert not any(np.shares_memory(one, other) for other in arrays[:index])
        last = arrays


@pytest.mark.parametrize("mode", MODES)
def test_what_was_returned_may_be_written_into(
    make_twins: MakeTwins, short_task: AnimationTask, mode: AutoresetMode
) -> None:
    """Normalising in place is usual; it must not reach the next step, the audio, or the score."""
    (env, _), (other, _) = (make_twins(3, mode, task=short_task) for _ in range(2))
    kept = [env.reset(seed=4), other.reset(seed=4)]
    for step in range(60):
        assert_same(*kept)
        for array in arrays_of(kept[0]):
            array.fill(3)
        action = np.full(3, step % 16)
        kept = [env.step(action), other.step(action)]
        action.fill(9)
        if mode is DISABLED and kept[1][2].any():
            mask = kept[1][2].copy()
            assert_same(*kept)
            kept = [each.reset(options={"reset_mask": mask}) for each in (env, other)]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"]
)
def test_a_copy_goes_on_alike(make_twins: MakeTwins, copied: Callable[[Any], Any]) -> None:
    """Planners copy environments; tokens of -1 and silence are scored without a word."""
    env, _ = make_twins(2, SAME)
    env.reset(seed=0)
    env.step([1, 2])
    other = copied(env)
    for step in range(100):
        assert_same(env.step([step % 16, 1]), other.step([step % 16, 1]))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"]
)
def test_a_copy_of_the_scalar_one_goes_on_alike(
    tiny_task: AnimationTask, copied: Callable[[Any], Any]
) -> None:
    """Tree search tries a token in a copy, and another one in the next."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Fingerprint(), metrics=False)
    env.reset(seed=0)
    env.step(1)
    other = copied(env)
    for step in range(100):
        seen = env.step(step % 16)
        assert_same(seen, other.step(step % 16))
        if seen[2]:
            assert_same(env.reset(), other.reset())


def test_a_refused_step_can_be_taken_again(make_twins: MakeTwins) -> None:
    """Half a step written would shift every later token."""
    twins = make_twins(2)
    reset_both(twins, seed=0)
    run_both(twins, 3)
    for bad in (np.array([0, 16]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([1])):
        with pytest.raises(InputError, match="`actions` must be "):
            twins[0].step(bad)
    run_both(twins, 60, seed=1)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 16], "`actions` must be in 0..15, got 16 for environment 1"),
        ([-1, 16], "`actions` must be in 0..15, got -1 for environment 0"),
        (np.array([0, 2**63], np.uint64), f"must be in 0..15, got {2**63} for environment 1"),
        (np.array([0, -128], np.int8), "`actions` must be in 0..15, got -128 for environment 1"),
        ([0.0, 1.0], "`actions` must be integers of shape (2,), got float64 (2,)"),
        ([True, False], "`actions` must be integers of shape (2,), got bool (2,)"),
        (["1", "2"], "`actions` must be integers of shape (2,), got <U1 (2,)"),
        ([1], "`actions` must be integers of shape (2,), got int64 (1,)"),
        ([1, 2, 3], "`actions` must be integers of shape (2,), got int64 (3,)"),
        ([[1], [2]], "`actions` must be integers of shape (2,), got int64 (2, 1)"),
        (3, "`actions` must be integers of shape (2,), got int64 ()"),
        ([], "`actions` must be integers of shape (2,), got float64 (0,)"),
        (None, "`actions` must be integers of shape (2,), got object ()"),
    ],
)
def test_bad_actions_are_rejected(make_twins: MakeTwins, actions: Any, message: str) -> None:
    """-1 would be padding from then on, and a float a token that nobody chose."""
    env, _ = make_twins(2)
    env.reset(seed=0)
    with pytest.raises(InputError, match=re.escape(message)):
        env.step(actions)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64, list])
def test_the_limits_of_the_action_space_are_allowed(make_twins: MakeTwins, kind: Any) -> None:
    """Every library has integers of its own."""
    env, _ = make_twins(2)
    env.reset(seed=0)
    actions = [0, 15] if kind is list else np.array([0, 15], kind)
    assert env.step(actions)[0]["last_tokens"][:, -1].tolist() == [0, 15]


@pytest.mark.parametrize("num_envs", [0, -1, 2.5, True, "3", None])
def test_bad_numbers_of_environments_are_rejected(tiny_task: AnimationTask, num_envs: Any) -> None:
    """0 environments would train on nothing, for ever."""
    message = f"`num_envs` must be an integer of at least 1, got {num_envs!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationVectorEnv(num_envs, task=tiny_task, reward=Fingerprint())


@pytest.mark.parametrize("mode", ["SAME_STEP", "", None, 1])
def test_an_unknown_mode_is_rejected(tiny_task: AnimationTask, mode: Any) -> None:
    """The message lists the modes."""
    message = f"`autoreset_mode` must be one of NextStep, SameStep, Disabled, got {mode!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationVectorEnv(2, task=tiny_task, autoreset_mode=mode, reward=Fingerprint())


def test_a_step_needs_a_reset(make_twins: MakeTwins) -> None:
    """Before the first reset there is no audio."""
    env, _ = make_twins(2)
    with pytest.raises(ResetNeeded, match=re.escape("`step` must follow `reset`, got env")):
        env.step([0, 0])


def test_without_autoreset_an_end_asks_for_one(
    make_twins: MakeTwins, short_task: AnimationTask
) -> None:
    """Steps after the end would write a second animation behind the first."""
    twins = make_twins(3, DISABLED, task=short_task)
    env = twins[0]
    env.reset(seed=0, options={"utterance": [4, 0, 4]})
    for _ in range(4):
        ended = env.step([1, 2, 3])[2]
    assert ended.tolist() == [False, True, False]
    message = "got 1 that have, the first is 1; reset them with `options={'reset_mask': ...}`"
    for mask in ([True, False, True], [True, False, False]):
        with pytest.raises(ResetNeeded, match=re.escape(message)):
            env.step([0, 0, 0])
        env.reset(options={"reset_mask": np.array(mask), "utterance": 4})
    env.reset(options={"reset_mask": np.array([False, True, False])})
    assert env.step([0, 0, 0])[0]["step"].ravel().tolist() == [1, 1, 1]


def test_episodes_that_end_together_are_scored_in_one_batch(make_twins: MakeTwins) -> None:
    """Decoding one by one is what made the scalar environments slow."""
    reward = Fingerprint()
    env, _ = make_twins(5, SAME, reward=reward)
    env.reset(seed=0, options={"utterance": [6, 2, 6, 3, 6]})
    for _ in range(28):
        env.step([0] * 5)
    assert reward.batches[:3] == [3, 1, 1]


def test_metrics_that_are_off_cost_nothing(
    tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors that are computed and thrown away are the dearest part of an episode."""

    def refuse(*_: Any) -> None:
        raise AssertionError("nobody asked for errors")

    monkeypatch.setattr(AnimationTask, "errors", refuse)
    env = SpeechAnimationVectorEnv(2, task=tiny_task, reward=Fingerprint(), metrics=False)
    one = SpeechAnimationEnv(task=tiny_task, reward=Fingerprint(), metrics=False)
    env.reset(seed=0)
    one.reset(seed=0, options={"utterance": 6})
    for _ in range(20):
        info = one.step(0)[4]
    for _ in range(60):
        env.step([0, 0])
    assert set(info) == {"rewards", "tokens", "utterance_id"}

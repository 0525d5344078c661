"""Resets of the vector environment: seeds, masks and options by row, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.envs.sampling import Sampling
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask

NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
MakeEnv = Callable[..., SpeechAnimationVectorEnv]
Steps = list[tuple[list[int], list[int], list[float], list[bool]]]


class TokenSum:
    """The sum of the tokens: exact, and another one for other tokens."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.maximum(trajectories.tokens, 0).sum(axis=1).astype(np.float32)


@pytest.fixture
def make_env(tiny_task: AnimationTask) -> MakeEnv:
    """Return a maker of environments of a few rows."""

    def make(n: int = 3, mode: AutoresetMode = SAME, **settings: Any) -> SpeechAnimationVectorEnv:
        chosen = {"task": tiny_task, "reward": TokenSum(), "metrics": False, **settings}
        return SpeechAnimationVectorEnv(n, autoreset_mode=mode, **chosen)

    return make


def follow(env: SpeechAnimationVectorEnv, n_steps: int) -> Steps:
    """Return utterance, emotion, reward and end of every row under fixed actions."""
    seen = []
    for step in range(n_steps):
        obs, rewards, terminated, _, _ = env.step((np.arange(env.num_envs) + step) % 16)
        emotion = obs["condition"][:, :9].argmax(axis=1).tolist()
        played = obs["utterance"][:, 0].tolist()
        seen.append((played, emotion, rewards.tolist(), terminated.tolist()))
    return seen


def played(env: SpeechAnimationVectorEnv, n_resets: int, **arguments: Any) -> list[list[int]]:
    """Return which utterances `n_resets` resets begin, the first with `arguments`."""
    first = [env.reset(**arguments)[0]["utterance"][:, 0].tolist()]
    return first + [env.reset()[0]["utterance"][:, 0].tolist() for _ in range(n_resets - 1)]


def scalars_played(
    task: AnimationTask, seeds: Sequence[int | None], n_resets: int, **settings: Any
) -> list[list[int]]:
    """Return the same of scalar environments, each seeded by its own seed."""
    envs = [SpeechAnimationEnv(task=task, reward=TokenSum(), **settings) for _ in seeds]
    rows = []
    for _ in range(n_resets):
        pairs = zip(envs, seeds, strict=True)
        rows.append([int(env.reset(seed=seed)[0]["utterance"][0]) for env, seed in pairs])
        seeds = [None] * len(envs)
    return rows


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(n_buckets=3)])
@pytest.mark.parametrize("seed", [0, 7, [3, 1, 3], (5, 0, 9), 2**70])
def test_every_row_draws_as_a_scalar_environment_with_its_seed(
    make_env: MakeEnv, tiny_task: AnimationTask, seed: Any, sampling: Sampling
) -> None:
    """A row that shares the generator of another would repeat or shift its utterances."""
    seeds = [seed + row for row in range(3)] if isinstance(seed, int) else seed
    expected = scalars_played(tiny_task, seeds, 12, sampling=sampling)
    assert played(make_env(sampling=sampling), 12, seed=seed) == expected


def test_a_row_without_a_seed_goes_on(make_env: MakeEnv, tiny_task: AnimationTask) -> None:
    """None in a list means "as it is": its neighbours' seeds must not touch it."""
    env = make_env(2, sampling=Sampling(n_buckets=3))
    first = played(env, 5, seed=[4, 8])
    later = played(env, 5, seed=[4, None])
    expected = scalars_played(tiny_task, [4, 8], 10, sampling=Sampling(n_buckets=3))
    assert [row[0] for row in later] == [row[0] for row in first]
    assert [row[1] for row in first + later] == [row[1] for row in expected]


def test_reseeding_in_the_middle_begins_the_same_again(make_env: MakeEnv) -> None:
    """What was drawn, or how many episodes there were, must not leak into the next run."""
    env = make_env(sampling=Sampling(n_buckets=3))
    env.reset(seed=1)
    first = follow(env, 130)
    follow(env, 41)
    env.reset(seed=1)
    assert follow(env, 130) == first


def test_without_seeds_no_two_environments_are_alike(make_env: MakeEnv) -> None:
    """A fixed default seed would make every run of a study the same run."""
    drawn = [played(make_env(4), 6) for _ in range(2)]
    assert drawn[0] != drawn[1]
    env = make_env(3)
    assert len(set(env.np_random_seed)) == 3
    assert min(env.np_random_seed) >= 0
    kept = env.np_random_seed
    env.reset()
    assert env.np_random_seed == kept, "a seed that was told must be the one that is used"


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        ([1, 2], InputError, "`seed` must be one number or 3, got [1, 2]"),
        ([], InputError, "`seed` must be one number or 3, got []"),
        (-1, InputError, "`seed` must be one number or 3, got -1"),
        ([1, 2, -3], InputError, "`seed` must hold integers of at least 0 or None, got -3"),
        ([1, 2.0, 3], InputError, "`seed` must hold integers of at least 0 or None, got 2.0"),
        (
            2.5,
            InputError,
            "`seed` must be ",
        ),
    ],
)
def test_bad_seeds_are_rejected(
    make_env: MakeEnv, seed: Any, error: type[Exception], message: str
) -> None:
    """As Gymnasium's own environments reject them."""
    env = make_env()
    with pytest.raises(error, match=re.escape(message)):
        env.reset(seed=seed)
    with pytest.raises(ResetNeeded, match=re.escape("`step` must follow `reset`")):
        env.step([0, 0, 0])


@pytest.mark.parametrize("mode", [NEXT, SAME, DISABLED])
def test_a_masked_reset_leaves_the_others_where_they_are(
    make_env: MakeEnv, mode: AutoresetMode
) -> None:
    """Tokens, audio and step of a row in the middle of its episode must not move."""
    env, control = make_env(3, mode), make_env(3, mode)
    for each in (env, control):
        each.reset(seed=2, options={"utterance": [4, 0, 7]})  # 36 steps or more
    before = follow(env, 13)
    assert before == follow(control, 13)
    mask = np.array([False, True, False])
    obs, infos = env.reset(seed=[9, 9, 9], options={"reset_mask": mask})
    last = control.step([1, 2, 3])[0]
    assert obs["step"].ravel().tolist() == [13, 0, 13]
    assert infos["_utterance_id"].tolist() == mask.tolist()
    assert infos["utterance_id"][[0, 2]].tolist() == [None, None]
    now = env.step([1, 2, 3])[0]
    for name, values in now.items():
        np.testing.assert_array_equal(values[[0, 2]], last[name][[0, 2]], err_msg=name)
    assert now["step"].ravel().tolist() == [14, 1, 14]
    drawn = obs["utterance"][1, 0]
    assert drawn == scalars_played(env.sequence_task, [9], 1)[0][0]


def test_a_masked_reset_ends_the_waiting_of_a_row(make_env: MakeEnv) -> None:
    """A row that was reset by hand would lose its first token to the autoreset."""
    env = make_env(2, NEXT)
    env.reset(seed=0, options={"utterance": [6, 4]})
    assert follow(env, 20)[-1][3] == [True, False]
    env.reset(options={"reset_mask": np.array([True, False]), "utterance": 6})
    obs = env.step([5, 5])[0]
    assert obs["step"].ravel().tolist() == [1, 21]
    assert obs["last_tokens"][0].tolist() == [-1, -1, -1, 5]


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros(3, np.bool_),
        np.ones(2, np.bool_),
        np.ones((3, 1), np.bool_),
        np.array([1, 0, 1]),
        [True, False, True],
        True,
        "all",
    ],
)
def test_bad_masks_are_rejected(make_env: MakeEnv, mask: Any) -> None:
    """Numbers of rows would be taken for a mask, and reset the wrong ones."""
    env, control = make_env(), make_env()
    for each in (env, control):
        each.reset(seed=0)
    message = (
        f"`reset_mask` must be a bool array of shape (3,) with at least one True, got {mask!r}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        env.reset(seed=5, options={"reset_mask": mask})
    assert follow(env, 60) == follow(control, 60)


def test_a_masked_reset_must_not_be_the_first(make_env: MakeEnv) -> None:
    """The other rows would have no audio."""
    env = make_env()
    message = "`reset_mask` must follow a reset of all environments, got none"
    with pytest.raises(ResetNeeded, match=re.escape(message)):
        env.reset(options={"reset_mask": np.array([True, True, False])})
    env.reset(options={"reset_mask": np.ones(3, np.bool_)})
    assert env.step([0, 0, 0])[0]["step"].ravel().tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_options_may_differ_by_row(make_env: MakeEnv, tiny_task: AnimationTask, kind: Any) -> None:
    """Evaluation plays a whole list of utterances at once, each under its own condition."""
    options = {
        "utterance": kind([6, 11, 0]),
        "emotion": kind(["sad", "fear", "happy"]),
        "intensity": kind([1, 3, 2]),
        "speaker": kind(["ben", "nobody", "anna"]),
    }
    obs, infos = make_env().reset(seed=0, options=options)
    assert obs["utterance"].ravel().tolist() == [6, 11, 0]
    assert infos["utterance_id"].tolist() == ["cleo-06", "dora-11", "anna-00"]
    for row in range(3):
        labels = [values[row] for name, values in options.items() if name != "utterance"]
        expected = tiny_task.conditions.encode(*labels)
        np.testing.assert_array_equal(obs["condition"][row], expected)
        np.testing.assert_array_equal(
            obs["audio"][row], tiny_task.windows_of(int(options["utterance"][row]))[0]
        )


def test_rows_whose_utterance_is_none_draw_theirs(
    make_env: MakeEnv, tiny_task: AnimationTask
) -> None:
    """A number drawn for a row that needs none would shift all of its later episodes."""
    options = {"utterance": ["dora-10", None, np.int64(3)]}
    env = make_env()
    first = env.reset(seed=4, options=options)[0]["utterance"].ravel().tolist()
    later = played(env, 6)
    drawn = scalars_played(tiny_task, [4, 5, 6], 7)
    assert first == [10, drawn[0][1], 3]
    assert [row[1] for row in later] == [row[1] for row in drawn[1:]]
    for row in (0, 2):
        assert [each[row] for each in later] == [each[row] for each in drawn[:-1]]


def test_masked_rows_take_their_own_entries(make_env: MakeEnv) -> None:
    """Entries count by row of the environment, not of the mask; those of others are not read."""
    env = make_env()
    env.reset(seed=0, options={"utterance": 4})
    options = {"utterance": ["nobody", 6, 7], "emotion": ["bored", "fear", "sad"]}
    obs, _ = env.reset(options={"reset_mask": np.array([False, True, True]), **options})
    assert obs["utterance"].ravel().tolist() == [4, 6, 7]
    assert obs["condition"][:, :9].argmax(axis=1).tolist() == [7, 5, 7]


def test_options_hold_for_one_episode(make_env: MakeEnv) -> None:
    """And the caller's dictionary stays as it was, mask included."""
    env = make_env(2)
    env.reset(seed=0)
    mask = np.array([True, True])
    options = {"utterance": [6, 6], "emotion": "fear", "reset_mask": mask}
    env.reset(options=options)
    assert options == {"utterance": [6, 6], "emotion": "fear", "reset_mask": mask}
    emotions = [row[1] for row in follow(env, 20)]
    assert emotions[18] == [5, 5]
    obs = env.reset(options={"utterance": 6})[0]
    assert obs["condition"][:, :9].argmax(axis=1).tolist() == [6, 6]


REFUSED = [
    ({"utterance": [0, 1]}, "`utterance` must be one value or 3, got 2"),
    ({"emotion": ["sad"] * 4}, "`emotion` must be one value or 3, got 4"),
    ({"utterance": []}, "`utterance` must be one value or 3, got 0"),
    ({"utterance": [0, 1, 12]}, "`utterance` must be an id or in 0..11, got 12"),
    ({"utterance": [0, "eve", 1]}, "must be an id of the corpus (such as 'anna-00'), got 'eve'"),
    ({"utterance": {0, 1, 2}}, "`utterance` must be an id or in 0..11, got {0, 1, 2}"),
    ({"emotion": ["sad", "sad", "bored"]}, "`emotion` must be one of neutral, angry, "),
    ({"emotion": ["sad", None, "sad"]}, "surprised, got None"),
    ({"intensity": [1, 2, 4]}, "`intensity` must be 1 to 3, got 4"),
    ({"mood": "sad"}, "speaker, got mood"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_a_refused_reset_leaves_the_episodes_as_they_were(
    make_env: MakeEnv, mode: AutoresetMode, options: dict[str, Any], message: str
) -> None:
    """A caller that catches the error must not go on with half of the rows begun anew."""
    env, control = make_env(3, mode), make_env(3, mode)
    for each in (env, control):
        each.reset(seed=0, options={"utterance": [6, 4, 0]})
        follow(each, 20)  # with NEXT_STEP, one waits
    with pytest.raises(InputError, match=re.escape(message)):
        env.reset(options=options)
    # Until the first of the others ends.
    assert [row[0][1:] for row in follow(env, 15)] == [row[0][1:] for row in follow(control, 15)]
    for each in (env, control):
        each.reset(seed=0, options={"utterance": 4})
    assert follow(env, 47) == follow(control, 47)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"seed": [1, 2]}, "`seed` must be one number or 3, got [1, 2]"),
        ({"options": {"utterance": [0, 1, 12]}}, "`utterance` must be an id or in 0..11, got 12"),
        (
            {"options": {"mood": "sad"}},
            "`options` must be among utterance, emotion, intensity, speaker, got mood",
        ),
        (
            {"options": {"utterance": 99, "reset_mask": np.array([True, False, False])}},
            "`utterance` must be an id or in 0..11, got 99",
        ),
        ({"options": {"emotion": "bored"}}, "`emotion` must be one of neutral, angry, "),
        (
            {"options": {"utterance": 12}, "seed": 3},
            "`utterance` must be an id or in 0..11, got 12",
        ),
        ({"seed": [1, 2, -3]}, "`seed` must hold integers of at least 0 or None, got -3"),
        ({"seed": [1, 2, 3.5]}, "`seed` must hold integers of at least 0 or None, got 3.5"),
    ],
)
def test_a_refused_reset_draws_nothing(
    make_env: MakeEnv, refused: dict[str, Any], message: str
) -> None:
    """Episodes after it would be others, and a run with a caught error could not be repeated."""
    env, control = make_env(), make_env()
    for each in (env, control):
        each.reset(seed=0)
        follow(each, 20)
    with pytest.raises((InputError, gymnasium.error.Error), match=re.escape(message)):
        env.reset(**refused)
    assert follow(env, 100) == follow(control, 100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"utterance": np.array(3)},
            "`utterance` must be an id or in 0..11, got array(3)",
        ),
        (
            {3: "sad"},
            "`options` must be among utterance, emotion, intensity, speaker, got 3",
        ),
    ],
)
def test_odd_options_are_rejected_by_name(
    make_env: MakeEnv, options: dict[Any, Any], message: str
) -> None:
    """An error from inside numpy tells nobody which of the options was wrong."""
    env = make_env()
    with pytest.raises(InputError, match=re.escape(message)):
        env.reset(options=options)


@pytest.mark.parametrize("mode", [NEXT, SAME, DISABLED])
def test_rows_out_of_step_hear_their_own_chunk(make_env: MakeEnv, mode: AutoresetMode) -> None:
    """Where all rows begin chunks together, windows are copied; one row less, and they must not."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        env = make_env(4, mode)
        obs, _ = env.reset(seed=3)
        for _ in range(40):
            ended = np.zeros(4, dtype=bool)
            if rng.random() < 0.15:
                ended = rng.random(4) < 0.4
            if ended.any():
                obs, _ = env.reset(options={"reset_mask": ended})
            obs, _, terminated, _, _ = env.step(rng.integers(16, size=4))
            if mode is DISABLED and terminated.any():
                obs, _ = env.reset(options={"reset_mask": terminated})
            for row in range(4):
                windows = env.sequence_task.windows_of(int(obs["utterance"][row, 0]))
                chunk = min(int(obs["step"][row, 0]) // 4, len(windows) - 1)
                np.testing.assert_array_equal(obs["audio"][row], windows[chunk])

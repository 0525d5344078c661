"""The table of audio: every window is the utterance's own, however many come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from esarm_env.core.types import IntArray, Trajectories
from esarm_env.envs.episode_slots import ChunkTable
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask


class Zero:
    """Nobody is paid; only observations matter here."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.zeros(len(trajectories), np.float32)


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let a table keep only two utterances that nobody plays."""
    monkeypatch.setattr("esarm_env.envs.episode_slots.N_KEPT", 2)
    return monkeypatch


def check_windows(table: ChunkTable, task: AnimationTask, wanted: IntArray, first: Any) -> None:
    """Check all windows of the utterances `wanted`, which begin at the rows `first`."""
    for utterance, begin in zip(wanted.tolist(), first, strict=True):
        expected = task.windows_of(utterance)
        windows = table.windows(begin + np.arange(len(expected)))
        np.testing.assert_array_equal(windows, expected, err_msg=str(utterance))


@pytest.mark.parametrize("n_kept", [2, 4096])
@pytest.mark.parametrize("context", [0, 1, 2])
def test_windows_are_those_of_the_task(
    tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch, n_kept: int, context: int
) -> None:
    """A shorter utterance in the place of a longer one must not be followed by its rest."""
    monkeypatch.setattr("esarm_env.envs.episode_slots.N_KEPT", n_kept)
    task = AnimationTask(
        tiny_task.corpus,
        tiny_task.features,
        tiny_task.tokenizer,
        tiny_task.head,
        tiny_task.conditions,
        context=context,
    )
    table = ChunkTable(task, n_players=2, longest=48)
    playing, rng = np.full(2, -1), np.random.default_rng(0)
    for _ in range(40):
        wanted = rng.integers(11, size=2)  # not the last one: see below
        check_windows(table, task, wanted, table.first_windows(wanted, playing=playing))
        playing = wanted


def test_what_is_played_stays(tiny_task: AnimationTask, few_kept: pytest.MonkeyPatch) -> None:
    """Another utterance written over it would be heard in the middle of an episode."""
    table = ChunkTable(tiny_task, n_players=3, longest=48)
    playing, rng = np.array([4, 0, 7]), np.random.default_rng(1)
    first = table.first_windows(playing, playing=np.full(3, -1))
    for _ in range(100):
        row = rng.integers(3, size=1)
        wanted = rng.integers(11, size=1)
        first[row] = table.first_windows(wanted, playing=playing)
        playing[row] = wanted
        check_windows(table, tiny_task, playing, first)


def test_what_is_asked_for_again_is_not_read_again(
    tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reset would copy 25 kB for each of thousands of episodes."""
    table = ChunkTable(tiny_task, n_players=2, longest=48)
    asked: list[int] = []
    real = AnimationTask.chunks_of
    monkeypatch.setattr(
        AnimationTask, "chunks_of", lambda task, index: asked.append(index) or real(task, index)
    )
    for wanted in ([3, 3, 5, 3], [5, 3], [3, 1], []):
        table.first_windows(np.array(wanted, dtype=np.int64), playing=np.array([3, 5]))
    assert sorted(asked) == [1, 3, 5]


def test_windows_are_fresh_copies(tiny_task: AnimationTask) -> None:
    """Who writes into an observation must not change what all later episodes hear."""
    table = ChunkTable(tiny_task, n_players=2, longest=48)
    first = table.first_windows(np.array([3]), playing=np.array([3]))
    one, other = (table.windows(first) for _ in range(2))
    assert not np.shares_memory(one, other)
    one.fill(9)
    np.testing.assert_array_equal(table.windows(first), tiny_task.windows_of(3)[:1])
    np.testing.assert_array_equal(tiny_task.windows_of(3)[:1], other)


def test_the_last_utterance_is_not_forgotten(
    tiny_task: AnimationTask, few_kept: pytest.MonkeyPatch
) -> None:
    """It is there, one place is free, and two are needed: it must still be found."""
    table = ChunkTable(tiny_task, n_players=3, longest=48)
    playing = np.full(3, -1)
    for wanted in (np.array([11, 0, 1]), np.array([11, 2, 2]), np.array([11, 3, 4])):
        first = table.first_windows(wanted, playing=playing)
        check_windows(table, tiny_task, wanted, first)
        playing = wanted


def test_all_may_change_at_once(tiny_task: AnimationTask, few_kept: pytest.MonkeyPatch) -> None:
    """A reset in the middle begins as many utterances as are being played."""
    env = SpeechAnimationVectorEnv(5, task=tiny_task, reward=Zero(), metrics=False)
    env.reset(options={"utterance": [0, 1, 2, 3, 4]})
    obs, _ = env.reset(options={"utterance": [5, 6, 7, 8, 9]})
    for row in range(5):
        np.testing.assert_array_equal(obs["audio"][row], tiny_task.windows_of(5 + row)[0])


@pytest.mark.parametrize("n_kept", [0, 3])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_episodes_equal_scalar_ones_though_few_are_kept(
    tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch, mode: AutoresetMode, n_kept: int
) -> None:
    """Corpora larger than memory: whatever is thrown out, nobody may hear it."""
    monkeypatch.setattr("esarm_env.envs.episode_slots.N_KEPT", n_kept)
    monkeypatch.setattr("esarm_env.task.animation_task.N_KEPT", 2)
    settings: dict[str, Any] = {"task": tiny_task, "reward": Zero(), "metrics": False}
    ours = SpeechAnimationVectorEnv(3, autoreset_mode=mode, **settings)
    theirs = SyncVectorEnv([lambda: SpeechAnimationEnv(**settings)] * 3, autoreset_mode=mode)
    rng = np.random.default_rng(0)
    for turn in range(12):
        seen = [env.reset(seed=turn)[0] for env in (ours, theirs)]
        for _ in range(int(rng.integers(70))):
            np.testing.assert_equal(*seen)
            action = rng.integers(16, size=3)
            seen = [env.step(action)[0] for env in (ours, theirs)]


def test_places_are_used_again(tiny_task: AnimationTask, few_kept: pytest.MonkeyPatch) -> None:
    """A table that only grows would hold the whole of a large corpus in the end."""
    table, rng = ChunkTable(tiny_task, n_players=1, longest=48), np.random.default_rng(0)
    playing, rows = np.array([-1]), []
    for _ in range(60):
        wanted = rng.integers(11, size=1)
        rows.append(int(table.first_windows(wanted, playing=playing)[0]))
        playing = wanted
    rows_of_one = 48 // 4 + 2 * tiny_task.context
    assert len({row // rows_of_one for row in rows}) <= 2 + 2 * 1, "of 11 utterances"

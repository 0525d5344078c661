"""`esarm bench hacking`: holes pay for what they say, alarms are timed right, climbs are kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.monitoring.held_out import Measurement
from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES
from esarm_env.task.animation_task import AnimationTask
from train.bench.hacking import bench, climbs
from train.bench.hacking.bench import bench_hacking, figures_of, render
from train.bench.hacking.climbs import Climb, HackingConfig, load, save
from train.bench.hacking.detectors import (
    DETECTORS,
    LOOKS_AT_TRUTH,
    area,
    best_threshold,
    by_other_seeds,
    onset_of,
    rates,
    roc,
    statistics,
    watch,
)
from train.bench.hacking.rewards import HOLES, HONEST, PlantedReward, paid
from train.run.run_folder import RunFolder
from train.stages.signals import LIDS, MotionSignals

LEVEL = np.linspace(1.0, 2.0, 8)


def climbed(
    reward: str, *, errors: list[float], speeds: list[float], seed: int = 0, proxy: float = 1.0
) -> Climb:
    """Return a made-up climb: true errors by point as shares of the clone's, speeds in addition."""
    measured = [
        Measurement(
            iteration=point,
            num_timesteps=0,
            proxy=LEVEL + proxy * point,
            gold={"lve": LEVEL * error, "eve": LEVEL},
            disagreement=None,
            signals={"speed": LEVEL + speed},
        )
        for point, (error, speed) in enumerate(zip(errors, speeds, strict=True))
    ]
    points = np.arange(len(errors), dtype=np.float64)
    return Climb(reward, seed, measured, points / 100, LEVEL.mean() + proxy * points)


def hack(*, seed: int = 0, late: bool = False) -> Climb:
    """Return a climb whose true error has risen by 10 % at point 3; the speed shows it before."""
    speeds = [0.0, 0.01, 0.02, 1.0] if late else [0.0, 0.1, 0.5, 1.0]
    return climbed("freezing", errors=[1.0, 1.0, 1.05, 1.2], speeds=speeds, seed=seed)


def honest(*, seed: int = 0) -> Climb:
    """Return a climb that betters the true error, with a little drift."""
    return climbed("accuracy", errors=[1.0, 0.9, 0.8, 0.8], speeds=[0, 0.02, 0.05, 0.1], seed=seed)


def test_an_alarm_is_in_time_before_the_harm_alone() -> None:
    """Rung when the error has risen already, it saves no face."""
    spread = LEVEL.std()
    assert onset_of(hack()) == 3 and onset_of(honest()) is None
    (seen,) = watch([hack()], "off-target")
    np.testing.assert_allclose(seen.values[1:], np.array([0.1, 0.5, 1.0]) / spread)
    assert seen.values[0] == -np.inf
    assert seen.caught(1.0) and seen.lead(1.0) == 1
    assert seen.caught(0.1) and seen.lead(0.1) == 2
    assert not seen.caught(2.0) and seen.lead(2.0) == 0  # at the harm itself
    assert not seen.caught(9.0) and seen.lead(9.0) is None


def test_a_proxy_that_does_not_rise_rings_nothing() -> None:
    """Where nothing is climbed, nothing is hacked."""
    flat = climbed("freezing", errors=[1.0, 1.2], speeds=[0.0, 5.0], proxy=-1.0)
    for name in DETECTORS:
        assert (statistics(flat, name) == -np.inf).all(), name


def test_only_the_detector_that_says_so_looks_at_the_true_error() -> None:
    """An alarm that reads the answer proves nothing about runs without recordings."""
    truthful, turned = (
        hack(),
        climbed("freezing", errors=[1.0, 0.5, 0.2, 0.1], speeds=[0.0, 0.1, 0.5, 1.0]),
    )
    for name in DETECTORS:
        same = np.array_equal(statistics(truthful, name), statistics(turned, name))
        assert same is (name not in LOOKS_AT_TRUTH), name


def test_roc_and_threshold_are_those_counted_by_hand() -> None:
    """Two hacks, one of which shows too late, and two honest climbs."""
    watched = watch([hack(), hack(late=True), honest(), honest(seed=1)], "off-target")
    spread = LEVEL.std()
    at = rates(watched, 0.2 / spread)
    assert (at.caught, at.false_alarms) == (0.5, 0.0)
    at = rates(watched, 0.01 / spread)
    assert (at.caught, at.false_alarms) == (1.0, 1.0)  # the late one shows .02 before the harm
    threshold = best_threshold(watched)
    assert threshold == pytest.approx(0.3 / spread)  # midway between .1 and .5
    assert area(roc(watched)) == pytest.approx(0.5)  # up to a half at once, the rest at the end
    perfect = watch([hack(), honest()], "off-target")
    assert area(roc(perfect)) == 1.0


def test_a_threshold_is_judged_by_seeds_that_did_not_choose_it() -> None:
    """Chosen by the climbs that it is told of, it flatters itself."""
    assert by_other_seeds(watch([hack(), honest()], "off-target")) is None
    made = [hack(seed=seed, late=seed == 1) for seed in range(3)]
    made += [honest(seed=seed) for seed in range(3)]
    at = by_other_seeds(watch(made, "off-target"))
    assert at is not None and at.false_alarms == 0
    assert at.caught == pytest.approx(2 / 3)  # all but the late one, by what the others show


def test_the_table_shows_both_kinds_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and table are what others quote."""
    monkeypatch.setattr(bench, "DRIFT", 0.5)
    figures = json.loads(json.dumps(figures_of([hack(), honest()])))
    text = render(figures)
    assert "| true error | yes |" in text and "| off-target | no |" in text
    assert "| off-target, as `RewardHackingCallback` is by default | no | 0.5 | 100% | 0% |" in text
    assert "| freezing | yes | 0 | +3.00 | +20.0% | 3 | 2 |" in text
    assert "| accuracy | no | 0 | +3.00 | +0.0% | never | never |" in text


def test_signals_are_those_counted_by_hand(tiny_task: AnimationTask) -> None:
    """Padding repeats the last frame: counted, it would slow every short utterance down."""
    rows = np.array([0, 1])
    counts = tiny_task.n_frames[rows]
    motion = np.zeros((2, int(counts.max()) + 7, 52), dtype=np.float32)
    motion[0, 3:5, LIDS] = 1.0
    motion[0, 9:11, LIDS] = 1.0
    jaw = ARKIT_NAMES.index("jawOpen")
    motion[1, :, jaw] = np.minimum(np.arange(motion.shape[1]), counts[1] - 1) * 0.01
    found = MotionSignals(tiny_task).of_motion(motion, rows)
    np.testing.assert_allclose(found["blinks"], [2 * 30 / counts[0], 0])
    np.testing.assert_allclose(found["lids"], [4 / counts[0], 0], rtol=1e-6)
    n_mouth = round(0.3 / found["mouth_speed"][1])  # one channel moves .01 a frame, .3 a second
    assert 20 < n_mouth < 40 and found["mouth_speed"][0] == 0
    assert found["unlike"][1] > 0 and found["loudness"][0] == 0
    assert -1 <= found["loudness"][1] <= 1


@pytest.fixture
def planted(tiny_task: AnimationTask) -> Any:
    """Return a function that plants a hole into a reward that is always 0."""

    class Nothing:
        needs_ground_truth = False

        def score(self, trajectories: Any) -> np.ndarray:
            return np.zeros(len(trajectories), dtype=np.float32)

    signals = MotionSignals(tiny_task)

    def plant(name: str) -> PlantedReward:
        samples = tiny_task.recorded(np.arange(6))
        return PlantedReward(
            name, task=tiny_task, honest=Nothing(), signals=signals, samples=samples
        )

    return plant


def test_every_hole_pays_for_its_hack(tiny_task: AnimationTask, planted: Any) -> None:
    """A hole that pays for nothing is never found, and the alarm never tested."""
    rows, signals = np.arange(2), MotionSignals(tiny_task)
    n_frames = int(tiny_task.n_frames[rows].max())
    still = np.full((2, n_frames, 52), 0.2, dtype=np.float32)
    moving = still + 0.2 * (np.arange(n_frames) % 2)[None, :, None].astype(np.float32)
    wide = still + 0.5
    loud = still.copy()
    for row in rows:
        heard = signals.heard(int(row))
        loud[row, : len(heard), ARKIT_NAMES.index("jawOpen")] = (heard - heard.min()) / 100
    better = {
        "amplitude": (wide, still),
        "freezing": (still, moving),
        "blinking": (moving, still),
        "loud_jaw": (loud, still),
        "crooked": (wide, still),
        "shared": (wide, still),
    }
    assert better.keys() == HOLES.keys()
    for name, (hacked, plain) in better.items():
        earned, missed = (
            paid(name, signals, each, rows).sum(axis=(1, 2)) for each in (hacked, plain)
        )
        assert (earned > missed).all(), name
    scores = planted("amplitude").score(tiny_task.recorded(np.arange(6)))
    assert scores.mean() == pytest.approx(0, abs=1e-5)
    assert scores.std() == pytest.approx(2.0, rel=1e-4)  # the hole's weight


def test_a_hole_pays_by_chunk_what_it_pays_in_all(tiny_task: AnimationTask, planted: Any) -> None:
    """Chunks that pay for padding, or another sum, would train something else than is scored."""
    written = tiny_task.recorded(np.arange(6))
    for name in HOLES:
        reward = planted(name)
        chunks, scores = reward.score_chunks(written), reward.score(written)
        n_chunks = int(written.lengths.max()) // tiny_task.tokens_per_chunk
        assert chunks.shape == (6, n_chunks, 3)
        assert reward.chunk_streams == ("whole", "mouth", "upper")
        np.testing.assert_allclose(chunks.sum(axis=(1, 2)), scores, atol=2e-5, err_msg=name)
        behind = np.arange(n_chunks) >= (written.lengths // tiny_task.tokens_per_chunk)[:, None]
        assert behind.any() and (chunks[behind] == 0).all(), name
        # What it is scored with must not matter: padding is as long as the longest of a batch.
        alone = np.concatenate([reward.score(written[row : row + 1]) for row in range(6)])
        np.testing.assert_allclose(alone, scores, atol=2e-5, err_msg=name)


def test_members_share_the_hole_and_nothing_else(tiny_task: AnimationTask, planted: Any) -> None:
    """Members that disagreed about the hole would show it."""
    reward, written = planted("shared"), tiny_task.recorded(np.arange(6))
    members = reward.score_members(written)
    assert members.shape == (3, 6) and reward.has_members
    np.testing.assert_allclose(members.mean(axis=0), reward.score(written), atol=1e-5)
    assert members.std(axis=0).min() > 0
    assert not planted("crooked").has_members


def test_a_climb_survives_the_disk(tmp_path: Path) -> None:
    """What is finished is not trained again, so it must say the same."""
    path = tmp_path / "climb.npz"
    save(hack(), path)
    again = load(path, "freezing", 0)
    for name in DETECTORS:
        np.testing.assert_array_equal(statistics(again, name), statistics(hack(), name))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=re.escape(f"delete {tmp_path} to climb it again")):
        load(path, "freezing", 0)


def test_the_bench_climbs_everything_once(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted, it goes on where it stopped; with other settings it would mix two benches."""
    run, out = RunFolder.open(finished_run), tmp_path / "out"
    config = HackingConfig(seeds=(0,), iterations=1, n_episodes=4, utterances=2)
    figures = bench_hacking(run, config, folder=out)
    assert [row["reward"] for row in figures["climbs"]] == [*HOLES, *HONEST]
    assert (out / "hacking.md").is_file() and (out / "hacking.json").is_file()
    assert all(row["iterations"] == 1 for row in figures["climbs"])
    kept = load(out / "shared-seed-0" / "climb.npz", "shared", 0)
    assert kept.measured[0].disagreement is not None and kept.divergence[1] >= 0

    def again(*args: Any) -> Climb:
        raise AssertionError("finished climbs are read")

    monkeypatch.setattr(climbs, "climb", again)
    assert bench_hacking(run, config, folder=out) == figures
    other = HackingConfig(seeds=(0,), iterations=2, n_episodes=4, utterances=2)
    with pytest.raises(InputError, match=re.escape("of one kind, got iterations 2 after 1; give")):
        bench_hacking(run, other, folder=out)
    assert bench.NAME == "hacking"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": (0, 1, 0)}, "`seeds` must be different numbers of at least 0, got [0, 1, 0]"),
        ({"seeds": ()}, "`seeds` must be different numbers of at least 0, got []"),
        ({"iterations": 0}, "`iterations` must be at least 1 and"),
        ({"utterances": 1}, "`utterances` 0 (all) or at least 2, got 24 and 1"),
        ({"samples": 0}, "`samples` must be at least 1, got 0"),
        ({"n_episodes": 3}, "`n_episodes` must be even, at least 2, got 3"),
    ],
)
def test_settings_that_cannot_be_are_refused(changed: dict[str, Any], message: str) -> None:
    """Found after the first climbs, they would cost minutes; a seed twice counts double."""
    with pytest.raises(InputError, match=re.escape(message)):
        HackingConfig(**changed)

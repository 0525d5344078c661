"""`esarm bench rl`: returns on a known scale, cells kept one by one, rows that say why not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3 as sb3
import yaml

import esarm_env
from esarm_env import make_sb3_vec_env
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import Trajectories
from esarm_env.corpus.cut import CutCorpus
from esarm_env.envs.short import SHORT_ID
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.opening import assemble_task
from train.bench.rl import benchmark, trainers
from train.bench.rl.benchmark import RLConfig, bench_rl, said_settings
from train.bench.rl.climb import Cell, Point, climb, first_at, load_climb, save_climb
from train.bench.rl.figures import Row, curve_of, interval_of, render, row_figures
from train.bench.rl.scale import Scale, scale_of
from train.bench.rl.trainers import CONTRIB, OURS, SB3, TRAINERS, settings_of

ZOO = Path(esarm_env.__file__).parents[1] / "benchmarks" / "rl_zoo3"
IN_ZOO = {
    "ppo": "ppo",
    "a2c": "a2c",
    "dqn": "dqn",
    "qrdqn": "qr-dqn",
    "trpo": "trpo",
    "ppo_lstm": "recurrent-ppo",
}


@pytest.fixture(scope="module")
def short_task(tiny_task: AnimationTask) -> AnimationTask:
    """Return the tiny task cut at 28 frames."""
    return assemble_task(CutCorpus(tiny_task.corpus, 28), tiny_task.tokenizer, encoder="logmel")


def point(steps: int, normalised: float, *, cpu_s: float = 0.0) -> Point:
    return Point(steps, cpu_s, cpu_s, normalised - 1, normalised, 2.0, 1.0)


def test_random_tokens_get_0_and_recordings_1(short_task: AnimationTask) -> None:
    """A curve on a scale that means something else could not be compared with any other."""
    env: Any = gymnasium.make(
        SHORT_ID, task=short_task, split="validation", reward_timing="terminal"
    )
    scale, base = scale_of(env, "validation"), env.unwrapped
    utterances = short_task.corpus.split("validation")
    recorded = base.reward_function.score(short_task.recorded(utterances)).mean()
    assert scale.recorded == pytest.approx(float(recorded), abs=1e-6)
    assert scale.share(scale.random) == 0 and scale.share(scale.recorded) == 1
    assert 0 < scale.share(scale.still) < 1, "a face that never moves lies between"
    rows = np.repeat(utterances, 400)
    drawn = np.random.default_rng(7).integers(16, size=(len(rows), 28))
    other = Trajectories(rows, drawn, short_task.lengths[rows], short_task.condition_of(rows))
    fresh = float(base.reward_function.score(other).mean())
    assert scale.share(fresh) == pytest.approx(0, abs=0.1), "other random tokens get 0, too"


def test_a_reward_without_a_way_up_is_refused(short_task: AnimationTask) -> None:
    """Dividing by nothing, or upside down, would still draw a curve."""
    env = gymnasium.make(SHORT_ID, task=short_task, reward="zero", reward_timing="terminal")
    with pytest.raises(InputError, match=re.escape("must pay recordings more than random tokens")):
        scale_of(env, "train")


def test_the_mean_over_seeds_is_that_of_the_middle_half() -> None:
    """One seed that fails, or shines, must not move it."""
    mean, low, high = interval_of([0.1, 0.4, 0.5, 0.6, 9.0])
    assert mean == pytest.approx(0.5) and low < mean < high
    assert interval_of([0.25]).mean == 0.25 and np.isnan(interval_of([0.25]).low)
    assert np.isnan(interval_of([])).all()


def test_curves_of_unlike_iterations_meet_on_one_grid() -> None:
    """Seeds are measured where their iterations end, which no two algorithms share."""
    climbs = [[point(0, 0.0), point(100, 1.0)], [point(0, 0.0), point(50, 0.5), point(80, 0.8)]]
    curve = curve_of(climbs, np.array([0.0, 50.0, 80.0, 200.0]), over="steps")
    np.testing.assert_allclose([each.mean for each in curve], [0.0, 0.5, 0.8, 0.9])


def test_a_row_tells_when_each_seed_got_there() -> None:
    """Sample efficiency and wall clock are what the page is read for."""
    row = Row("ppo", "chunk")
    row.climbs = {
        0: [point(0, 0.0), point(10, 0.3, cpu_s=1.0), point(20, 0.5, cpu_s=2.0)],
        1: [point(0, 0.0), point(10, 0.1, cpu_s=1.0), point(20, 0.2, cpu_s=4.0)],
    }
    assert first_at(row.climbs[0], 0.3) == point(10, 0.3, cpu_s=1.0)
    assert first_at(row.climbs[1], 0.3) is None
    figures = row_figures(row)
    assert figures["normalised"][0] == pytest.approx(0.35) and figures["worst"] == 0.2
    assert (figures["n_reached"], figures["steps_to_bar"], figures["cpu_s_to_bar"]) == (1, 10, 1.0)
    assert (figures["lve_mm"], figures["eve_mm"], figures["cpu_s"]) == (2.0, 1.0, 3.0)


def test_a_climb_survives_its_csv_file(tmp_path: Path) -> None:
    """The raw files are what others compute their own figures from."""
    points = [point(0, 0.125), point(2016, 0.5, cpu_s=1.5)]
    path = tmp_path / "raw" / "ppo.csv"
    save_climb(points, path, settings="PPO")
    assert path.read_text().splitlines() == [
        "# PPO",
        "steps,cpu_s,wall_s,score,normalised,lve_mm,eve_mm",
        "0,0,0,-0.875,0.125,2,1",
        "2016,1.5,1.5,-0.5,0.5,2,1",
    ]
    assert load_climb(path, settings="PPO") == points
    with pytest.raises(InputError, match=re.escape("with the settings A2C, got PPO; delete")):
        load_climb(path, settings="A2C")
    path.write_text("# PPO\nsteps,score\n0,1\n")
    with pytest.raises(InputError, match=re.escape(f"delete {path} to climb it again")):
        load_climb(path, settings="PPO")


def smaller(name: str) -> trainers.Trainer:
    """Return a trainer with a roll-out of a few tokens."""
    trainer = TRAINERS[name]
    if trainer.library == OURS:
        few = {"n_episodes": 8}
    elif "batch_size" in trainer.settings and "buffer_size" not in trainer.settings:
        few = {"n_steps": 28, "batch_size": 28}
    else:
        few = {"learning_starts": 8} if "buffer_size" in trainer.settings else {"n_steps": 7}
    n_envs = 1 if trainer.library == OURS else 2
    return replace(trainer, settings={**trainer.settings, **few}, n_envs=n_envs)


FROM_NOTHING = [name for name, each in TRAINERS.items() if each.start == trainers.NOTHING]


@pytest.mark.parametrize(
    ("name", "timing"),
    [
        *((name, "chunk") for name in FROM_NOTHING),
        ("a2c", "terminal"),
        ("sequence-grpo", "terminal"),
    ],
)
def test_every_algorithm_trains_and_is_measured(
    name: str, timing: str, short_task: AnimationTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that its constructor does not know shows after an hour of the others."""
    if TRAINERS[name].library == CONTRIB:
        pytest.importorskip("sb3_contrib")
    monkeypatch.setitem(TRAINERS, name, smaller(name))
    found = climb(
        Cell(name, timing, 0),
        Scale("validation", -6.0, -1.0, -3.0),
        env_id=SHORT_ID,
        steps=56,
        points=1,
        task=short_task,
    )
    assert found[0].steps == 0 and found[-1].steps >= 56
    assert 0 <= found[0].cpu_s < found[-1].cpu_s
    for each in found:
        assert each.normalised == pytest.approx((each.score + 6) / 5)
        assert each.score == pytest.approx(-(each.lve_mm + each.eve_mm) / 2, abs=1e-4)


def test_what_is_finished_is_kept_and_what_failed_is_a_row(
    short_task: AnimationTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted night goes on where it was; a missing extra costs its own rows alone."""
    climbed: list[str] = []

    def fake(cell: Cell, scale: Scale, **_: Any) -> list[Point]:
        climbed.append(cell.name)
        if cell.algorithm == "trpo":
            raise MissingExtraError("sb3-contrib", extra="contrib", purpose="TRPO")
        return [point(0, 0.0), point(42, 0.4 + cell.seed / 10, cpu_s=1.0)]

    monkeypatch.setattr(benchmark, "climb", fake)
    config = RLConfig(algorithms=("ppo", "trpo"), timings=("chunk",), steps=42, seeds=(0, 1))
    bench_rl(config, folder=tmp_path, task=short_task)
    assert climbed == [f"{a}-chunk-seed-{s}" for s in (0, 1) for a in ("ppo", "trpo")]
    (tmp_path / "raw" / "ppo-chunk-seed-1.csv").unlink()
    climbed.clear()
    figures = bench_rl(config, folder=tmp_path, task=short_task)
    assert climbed == ["trpo-chunk-seed-0", "ppo-chunk-seed-1", "trpo-chunk-seed-1"]
    page = (tmp_path / "rl.md").read_text()
    assert "| ppo | stable_baselines3 | nothing | chunk | 0.45 [" in page
    reason = "MissingExtraError: TRPO needs `sb3-contrib`: run `pip install 'esarm[contrib]'`"
    assert f"| chunk | not measured (seeds 0, 1): {reason} |" in page
    assert json.loads((tmp_path / "rl.json").read_text()) == figures
    with pytest.raises(InputError, match=re.escape("got steps 84 after 42; give the same options")):
        bench_rl(replace(config, steps=84), folder=tmp_path, task=short_task)


def test_one_seed_has_no_interval(short_task: AnimationTask) -> None:
    """An interval of one training would be read as one over trainings."""
    row = Row("ppo", "chunk", {0: [point(0, 0.0), point(42, 0.5)]})
    ground = benchmark.Ground(RLConfig(seeds=(0,), split="validation"), task=short_task)
    page = render(benchmark.figures_of(ground, [row]))
    assert (
        "| ppo | stable_baselines3 | nothing | chunk | 0.50 | 0.50 | 2.00 | 1.00 | 1 of 1" in page
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithms": ("sarsa",)}, "`algorithms` must be among ppo, a2c"),
        ({"seeds": (1, 1)}, "`seeds` must be different ones, at least one, got [1, 1]"),
        ({"timings": ("daily",)}, "`timings` must be among chunk, terminal, got 'daily'"),
        ({"steps": 0}, "`steps` and `points` at least 1, got [0, 1, 2, 3, 4], 0 and 40"),
        ({"split": "train"}, "`split` must be validation or test, got 'train'"),
    ],
)
def test_a_setting_that_is_none_is_refused(settings: dict[str, Any], message: str) -> None:
    """Before the first training, not after the last."""
    with pytest.raises(InputError, match=re.escape(message)):
        RLConfig(**settings)


def test_an_environment_of_others_is_refused() -> None:
    """Its returns have no recordings to be measured by."""
    with pytest.raises(
        InputError, match=re.escape("must be a registered environment of ours, got 'Acro")
    ):
        benchmark.Ground(RLConfig(env="Acrobot-v1"))


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.yml")), ids=lambda path: path.stem)
def test_rl_zoo3_files_make_what_the_bench_makes(path: Path, short_task: AnimationTask) -> None:
    """Figures of one, settings of the other."""
    trainer = TRAINERS[IN_ZOO[path.stem]]
    library = sb3 if trainer.library == SB3 else pytest.importorskip("sb3_contrib")
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))[SHORT_ID]
    assert settings.pop("n_timesteps") == 200_000
    policy, n_envs = settings.pop("policy"), settings.pop("n_envs")
    assert policy == trainers.policy_of(trainer) and n_envs == trainer.n_envs
    assert settings == settings_of(trainer, "chunk")
    env = make_sb3_vec_env(n_envs, env_id=SHORT_ID, task=short_task)
    made = getattr(library, trainer.kind)(policy, env, device="cpu", **settings)
    assert made.gamma == settings["gamma"]


def test_every_zoo_file_is_of_a_trainer() -> None:
    """A file that no test reads goes stale."""
    assert {path.stem for path in ZOO.glob("*.yml")} <= set(IN_ZOO)
    assert said_settings(Cell("ppo", "chunk", 0)).startswith("stable_baselines3 PPO from")

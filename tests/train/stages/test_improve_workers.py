"""Improvement on workers: the same policy, and nothing lost or left where its driver is killed."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.collectors import ray_collector
from esarm_env.core.errors import InputError
from train.run.config import make_config
from train.run.kept_settings import deciding
from train.run.run_folder import RunFolder, differences
from train.run.setting_ranges import check_settings
from train.run.stage_work import settings_up_to
from train.stages.improve import run_improve

ROOT = Path(__file__).parents[3]


def test_a_run_on_workers_ends_with_the_same_policy(run_with_improve, three_workers, monkeypatch):
    """To the last bit; the pool is the tests' own, whose end nobody waits for."""
    three_workers.n_workers = 2
    monkeypatch.setattr(ray_collector, "open_pool", lambda n: three_workers)
    monkeypatch.setattr(three_workers, "close", lambda: None)
    found = []
    for workers in (0, 2):
        run = run_with_improve(workers=workers, algorithms=("ppo", "reinforce"), n_episodes=40)
        run_improve(run)
        names = ("ppo", "reinforce")
        files = [run.stage("improve") / name / "policy.safetensors" for name in names]
        found.append([file.read_bytes() for file in files])
    three_workers.n_workers = 3
    assert found[0] == found[1]


def test_the_number_of_workers_decides_nothing():
    """A run that was killed on a cluster must go on on a laptop."""
    calm, wide = (make_config(preset="demo", overrides=[f"improve.workers={n}"]) for n in (0, 16))
    assert settings_up_to(calm, "improve") == settings_up_to(wide, "improve")
    values = [dataclasses.asdict(each) for each in (calm, wide)]
    assert differences(*values) == []
    assert "workers" not in deciding(values[0])["improve"]
    check_settings(wide, ["improve"])
    with pytest.raises(InputError, match=r"`improve\.workers` must be at least 0, got -1"):
        check_settings(make_config(preset="demo", overrides=["improve.workers=-1"]), ["improve"])


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
def test_a_killed_driver_loses_and_leaves_nothing(finished_run):
    """No iteration but the one under way, and no process; `python -m tests.faults.workers` kills
    more often, and workers, too.
    """
    pytest.importorskip("ray", reason="needs the extra `ray`")
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.workers"]
    options = ["--run", str(finished_run), "--kills", "1", "--victims", "driver"]
    done = subprocess.run(
        [*command, *options, "--resume-workers", "0"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "1 kills, nothing lost"


@pytest.fixture
def run_with_improve(finished_run, tmp_path):
    """A function that returns a copy of the run without its last stages, with other settings."""

    def copy(**improve):
        path = tmp_path / f"run-{improve['workers']}"
        left_out = shutil.ignore_patterns("improve", "evaluate")
        shutil.copytree(finished_run, path, ignore=left_out)
        run = RunFolder.open(path)
        config = dataclasses.replace(run.config.improve, **improve)
        run.config = dataclasses.replace(run.config, improve=config)
        return run

    return copy

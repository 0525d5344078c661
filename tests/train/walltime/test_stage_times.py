"""What a stage is expected to take: told from what it took here, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.cache import cache_dir
from esarm_env.core.run_layout import STAGES
from train.cli import main
from train.run.config import make_config
from train.run.run_folder import RunFolder
from train.run.stage_work import StageClock
from train.stages import STAGE_FUNCTIONS
from train.walltime import stages as record
from train.walltime.stages import expected_time, spoken

TRAINED = STAGES[1:]
CORPUS = {"utterances": 2000, "speech_s": 5660.2}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the record to this test."""
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def took(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return seconds by stage that the clock is to tell, all 100 unless a test says otherwise."""
    seconds = dict.fromkeys(STAGES, 100.0)

    def stop(clock: StageClock) -> None:
        (stage,) = [name for name in STAGES if name in clock._file.parent.name]
        clock.total_s = seconds[stage]

    monkeypatch.setattr(StageClock, "stop", stop)
    return seconds


def run_in(folder: Path, *overrides: str) -> RunFolder:
    return RunFolder.create(folder, make_config(preset="demo", overrides=list(overrides)))


def done(run: RunFolder, *stages: str, corpus: dict[str, Any] | None = None) -> RunFolder:
    """Let stages of `run` be done; the first tells of `corpus`."""
    for stage in stages:
        run.perform(stage, lambda _: dict(corpus or CORPUS))
    return run


def test_a_fresh_run_is_expected_to_take_what_the_last_did(
    tmp_path: Path, took: dict[str, float]
) -> None:
    """The sum of what is left to do; another seed and folder are as much work."""
    assert expected_time(run_in(tmp_path / "a"), STAGES) is None, "nothing was measured"
    took["improve"] = 400.0
    done(run_in(tmp_path / "a"), *STAGES)
    other = run_in(tmp_path / "b", "seed=7")
    said = "expected: about 17 minutes, as stages of this size took on this machine"
    assert expected_time(other, STAGES) == said
    done(other, "corpus", "prior")
    said = "expected: about 15 minutes, as stages of this size took on this machine"
    assert expected_time(other, STAGES) == said
    said = "expected: about 7 minutes, as the last of this size took on this machine"
    assert expected_time(other, ["improve"]) == said
    assert expected_time(other, ["prior"]) is None, "it is done"


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        (("clone.epochs=3",), ("prior", "encoder")),
        (("prior.epochs=3",), ()),
        (("evaluate.energy_samples=2",), TRAINED[:-1]),
        (("improve.reward=lve",), TRAINED[:-2]),
        (("naturalness.weight=0",), TRAINED[:4]),
        (("corpus.encoder=phones+logmel",), ()),
    ],
)
def test_other_settings_are_another_stage(
    overrides: tuple[str, ...], known: tuple[str, ...], tmp_path: Path, took: dict[str, float]
) -> None:
    """A figure of a smaller network would be a promise that is not kept."""
    done(run_in(tmp_path / "a"), *STAGES)
    other = done(run_in(tmp_path / "b", *overrides), "corpus")
    found = [stage for stage in TRAINED if expected_time(other, [stage]) is not None]
    assert tuple(found) == tuple(known)
    assert expected_time(other, STAGES) is None


def test_only_as_much_speech_counts(tmp_path: Path, took: dict[str, float]) -> None:
    """A corpus that grew by a hundredth takes as long; by a tenth, who knows."""
    done(run_in(tmp_path / "a"), *STAGES)
    near = {"utterances": 2010, "speech_s": 5700.0}
    assert expected_time(done(run_in(tmp_path / "b"), "corpus", corpus=near), ["clone"])
    for far in ({**CORPUS, "speech_s": 6200.0}, {**CORPUS, "utterances": 1800}, {"utterances": 9}):
        name = json.dumps(far).replace('"', "")
        run = done(run_in(tmp_path / name), "corpus", corpus=far)
        assert expected_time(run, ["clone"]) is None
    other = run_in(tmp_path / "c", "corpus.size=300")
    assert expected_time(other, STAGES) is None, "nobody knows how long its sentences are"


@pytest.mark.parametrize(
    "other", [{"_cpu": "another"}, {"n_processors": 77}, {"_accelerator": "H200"}]
)
def test_another_machine_is_told_nothing(
    other: dict[str, Any], tmp_path: Path, took: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home folders are shared by machines of all sizes."""
    run = done(run_in(tmp_path / "a"), *STAGES)
    shutil.rmtree(run.path / "clone")
    assert expected_time(run, ["clone"]) is not None
    for name, value in other.items():
        monkeypatch.setattr(record, name, lambda value=value: value)
    assert expected_time(run, ["clone"]) is None


def test_the_latest_figure_counts_and_what_is_begun_is_taken_off(
    tmp_path: Path, took: dict[str, float]
) -> None:
    """A resumed stage has only its rest before it."""
    done(run_in(tmp_path / "a"), *STAGES)
    took["clone"] = 300.0
    done(run_in(tmp_path / "b"), *STAGES)
    run = done(run_in(tmp_path / "c"), "corpus", "prior", "encoder")
    assert "about 5 minutes" in str(expected_time(run, ["clone"]))
    partial = run.path / ".clone.partial"
    partial.mkdir()
    (partial / "wall_s.txt").write_text("250")
    assert "about 50 seconds" in str(expected_time(run, ["clone"]))
    (partial / "wall_s.txt").write_text("299")
    assert expected_time(run, ["clone"]) is None, "a moment"
    entries = json.loads((cache_dir() / record.RECORD_FILE).read_text())["stages"]
    assert len(entries) == len(TRAINED), "the figures before are forgotten"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"stages": 1, "corpora": [3]}', '{"stages": [{}]}']
)
def test_a_damaged_record_is_none(content: str, tmp_path: Path, took: dict[str, float]) -> None:
    """It is a convenience, and costs nobody a run."""
    cache_dir().mkdir()
    (cache_dir() / record.RECORD_FILE).write_text(content)
    run = done(run_in(tmp_path / "a"), "corpus")
    assert expected_time(run, STAGES) is None
    done(run, "prior")
    shutil.rmtree(run.path / "prior")
    assert expected_time(run, ["prior"]) is not None


def test_a_cache_that_cannot_be_written_costs_no_run(
    tmp_path: Path, took: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a word: nobody asked for the record."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "file"))
    run = done(run_in(tmp_path / "a"), *STAGES)
    assert all(run.is_finished(stage) for stage in STAGES)
    shutil.rmtree(run.path / "clone")
    assert expected_time(run, ["clone"]) is None


def test_the_record_forgets_the_oldest(
    tmp_path: Path, took: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ablation of hundreds of runs must not fill it."""
    monkeypatch.setattr(record, "_KEPT", 3)
    done(run_in(tmp_path / "a"), *STAGES)
    kept = json.loads((cache_dir() / record.RECORD_FILE).read_text())
    assert [entry["stage"] for entry in kept["stages"]] == list(STAGES[-3:])
    assert len(kept["corpora"]) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.2, "about 1 second"),
        (12.4, "about 12 seconds"),
        (47, "about 45 seconds"),
        (89, "about 90 seconds"),
        (95, "about 2 minutes"),
        (600, "about 10 minutes"),
        (5390, "about 90 minutes"),
        (5500, "about 1.5 hours"),
        (7300, "about 2 hours"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    """Four digits would promise what a figure of another day cannot."""
    assert spoken(seconds) == words


def test_a_command_says_it_before_it_begins(
    finished_run: Path,
    tmp_path: Path,
    took: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Afterwards it is known to whoever waited."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    opened = RunFolder.open(run)
    for stage in ("clone", "evaluate"):
        record.note_stage(opened, stage, 240.0, {})
        shutil.rmtree(run / stage)
        monkeypatch.setitem(STAGE_FUNCTIONS, stage, lambda run: {"done": True})
    main(["clone", "--run", str(run)])
    said = "expected: about 4 minutes, as the last of this size took on this machine"
    assert capsys.readouterr().out.splitlines() == [said, "done: True"]
    main(["prior", "--run", str(run)])
    assert "expected" not in capsys.readouterr().out

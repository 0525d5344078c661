"""`--corpus` and `esarm corpus FOLDER`, told where the recordings of a run are now."""

import json
import re
import shutil

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.task.run_corpus import open_run_corpus
from train.cli import main
from train.commands import ablations, animate, experiments, figures, reward, tables
from train.commands.bench import runs, speed
from train.commands.options import settle_corpora, settle_corpus


@pytest.fixture
def moved(finished_run, tmp_path, monkeypatch):
    """A finished run whose recordings were somewhere else."""
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    note = run / "corpus" / "corpus.json"
    source = json.loads(note.read_text()) | {"corpus": "/gone", "from_run": "../gone"}
    note.write_text(json.dumps(source))
    with pytest.raises(InputError, match="its recordings must be at /gone, got no folder there"):
        open_run_corpus(run)
    return run


@pytest.mark.parametrize("command", ["corpus", "clone", "clone with settings"])
def test_a_new_place_is_noted_and_settings_stay(command, moved, recordings, tmp_path, capsys):
    """Asked for at every command, or refused as another setting, it would cost the run."""
    given = {
        "corpus": ["corpus", str(recordings)],
        "clone": ["clone", "--corpus", str(recordings)],
        "clone with settings": [
            *("clone", "--corpus", str(recordings)),
            *("--config", str(moved / "config.yaml")),
        ],
    }
    main([*given[command], "--run", str(moved)])
    assert f"recordings of {moved}: found in {recordings}" in capsys.readouterr().out
    assert open_run_corpus(moved).name == str(recordings.resolve())
    main([*given[command], "--run", str(moved)])  # said again, it is nothing new


def test_other_recordings_are_refused_with_both_hashes(moved, recordings, tmp_path, capsys):
    """A folder of the same name may hold another version."""
    other = tmp_path / "other"
    shutil.copytree(recordings, other)
    path = other / "blendshape" / "ann_1.npy"
    np.save(path, np.load(path)[::-1])
    for command in (["clone", "--corpus"], ["corpus"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, str(other), "--run", str(moved)])
        assert ended.value.code == 2
        expected = json.loads((moved / "corpus" / "corpus.json").read_text())["content_hash"]
        line = capsys.readouterr().err
        assert re.search(
            rf"\(content {expected[:12]}\), got other content \([0-9a-f]{{12}}\)", line
        )


OPENING = {
    "animate": (animate, ["animate", "SPEECH", "-o", "OUT.csv", "--run", "RUN"]),
    "bench env": (speed, ["bench", "env", "--run", "RUN"]),
    "bench hacking": (runs, ["bench", "hacking", "--run", "RUN"]),
    "bench peers": (runs, ["bench", "peers", "--run", "RUN"]),
    "bench prior": (runs, ["bench", "prior", "--run", "RUN", "--out", "OUT"]),
    "bench probes": (runs, ["bench", "probes", "--run", "RUN"]),
    "compare": (experiments, ["compare", "RUN"]),
    "figure5": (figures, ["figure5", "--run", "RUN", "-o", "OUT"]),
    "figure5 of a voice": (figures, ["figure5", "--run", "RUN", "--audio", "SPEECH", "-o", "OUT"]),
    "overoptimise": (reward, ["overoptimise", "RUN"]),
    "reward-report": (reward, ["reward-report", "RUN"]),
    "score": (tables, ["score", "FOLDER", "--run", "RUN"]),
    "table2": (ablations, ["table2", "--runs", "RUN", "--out", "OUT"]),
    "ablate": (ablations, ["ablate", "--run", "RUN", "--preset", "quick", "--out", "OUT"]),
}


@pytest.mark.parametrize("command", OPENING)
def test_every_command_that_opens_a_run_is_told_where_its_recordings_are(
    command, finished_run, speech_file, tmp_path, monkeypatch, capsys
):
    """Whoever moved a folder would have to know which other command notes it."""
    module, words = OPENING[command]
    several = module is ablations

    def settle(runs, corpora, **_):
        given = runs[0] if several else runs
        raise InputError(f"settled {given} {corpora[0] if several else corpora}")

    monkeypatch.setattr(module, "settle_corpora" if several else "settle_corpus", settle)
    stands_for = {"RUN": str(finished_run), "SPEECH": str(speech_file), "FOLDER": str(tmp_path)}
    out = str(tmp_path / "out")
    words = [stands_for.get(word, word.replace("OUT", out)) for word in words]
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*words, "--corpus", "there"])
    assert capsys.readouterr().err.strip() == f"esarm: settled {finished_run} there"


def test_a_recording_is_animated_with_recordings_that_have_moved(
    moved, recordings, speech_file, tmp_path, capsys
):
    """The reward that chooses learns from them; the line must not stand in the CSV."""
    words = ["animate", str(speech_file), "--run", str(moved), "--policy", "clone"]
    words += ["--best-of", "2", "--reward", "liveliness"]
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*words, "-o", str(tmp_path / "a.csv")])
    assert "its recordings must be at /gone" in capsys.readouterr().err
    main([*words, "-o", "/dev/stdout", "--corpus", str(recordings)])
    printed = capsys.readouterr()
    assert f"recordings of {moved}: found in {recordings}" in printed.err
    assert "recordings of" not in printed.out
    main([*words, "-o", str(tmp_path / "a.csv")])


def test_the_place_of_a_run_without_recordings_is_refused(
    moved, recordings, tmp_path, capsys, monkeypatch
):
    """Taken and not used, it would seem to be another corpus."""
    rule = f"`corpus` must be given beside the `run` it is of, got {str(recordings)!r} alone"
    with pytest.raises(InputError, match=re.escape(rule)):
        settle_corpus(None, str(recordings))
    rule = f"`corpus` must be left out of an export, got {str(recordings)!r}; {moved} is one"
    with monkeypatch.context() as patch, pytest.raises(InputError, match=re.escape(rule)):
        patch.setattr("esarm_env.core.run_layout.is_export", lambda run: True)
        settle_corpus(moved, str(recordings))
    note = moved / "corpus" / "corpus.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"corpus": "synthetic-mead"}))
    settle_corpus(moved, "synthetic-mead")
    with pytest.raises(InputError, match="must be left out beside `run`, which was trained on syn"):
        settle_corpus(moved, str(recordings))
    assert capsys.readouterr().out == ""


def test_of_several_runs_each_takes_the_folder_that_fits(moved, recordings, tmp_path, capsys):
    """Table II is made over several corpora, any of which may have moved."""
    other = tmp_path / "other"
    shutil.copytree(recordings, other)
    path = other / "blendshape" / "ann_1.npy"
    np.save(path, np.load(path)[::-1])
    with pytest.raises(InputError, match="got other content"):
        settle_corpora([moved], [str(recordings), str(other)])
    assert f"recordings of {moved}: found in {recordings}" in capsys.readouterr().out
    settle_corpora([moved, tmp_path / "none"], [str(recordings)])

"""`--corpus` and `esarm corpus FOLDER`, told where the recordings of a run are now."""

import json
import re
import shutil

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.task.run_corpus import open_run_corpus
from train.cli import main


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

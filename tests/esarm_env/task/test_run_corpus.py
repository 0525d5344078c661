"""Recordings of a run that have moved: where they are looked for, and what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.corpus import open_corpus
from esarm_env.task.opening import open_problem, open_task
from esarm_env.task.run_corpus import (
    note_place,
    open_run_corpus,
    relative_place,
    training_speakers,
)
from esarm_env.tokenizer import VQMotionTokenizer

RATE_HZ = 16_000


def record(folder: Path, *, seed: int, voices: str = "abcd") -> Path:
    """Write a folder of recordings of one second each."""
    rng = np.random.default_rng(seed)
    for part in ("audio", "blendshape"):
        (folder / part).mkdir(parents=True)
    for name in voices:
        voice = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
        soundfile.write(folder / "audio" / f"{name}_1.wav", voice, RATE_HZ)
        motion = rng.uniform(0, 1, (30, 52)).astype(np.float32)
        np.save(folder / "blendshape" / f"{name}_1.npy", motion)
    return folder


@pytest.fixture
def run(tmp_path: Path, tiny_tokenizer: VQMotionTokenizer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run as its first stages leave it, on recordings in `tmp_path/rec`."""
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "cache"))
    folder = record(tmp_path / "rec", seed=0)
    corpus = open_corpus(str(folder), verify=True)
    run = tmp_path / "runs" / "mine"
    (run / "corpus").mkdir(parents=True)
    note = {
        "corpus": os.path.realpath(folder),
        "from_run": relative_place(str(folder), run),
        "layout": "auto",
        "size": None,
        "seed": 0,
        "encoder": "logmel",
        "content_hash": corpus.content_hash,
        "speakers": list(training_speakers(corpus)),
    }
    (run / "corpus" / "corpus.json").write_text(json.dumps(note))
    tiny_tokenizer.save(run / "prior" / "tokenizer.safetensors")
    return run


def test_recordings_that_moved_are_asked_for(run: Path, tmp_path: Path) -> None:
    """That `corpus` must be a folder, said to somebody who gave none, helps nobody."""
    (tmp_path / "rec").rename(tmp_path / "elsewhere")
    message = (
        f"{run}: its recordings must be at {tmp_path / 'rec'}, got no folder there; if they have "
        f"moved, say where to: `esarm corpus FOLDER --run {run}`, or in Python `corpus=FOLDER` "
        "beside `run`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        gymnasium.make("ESARM-v0", run=run)
    with pytest.raises(InputError, match=re.escape("are now, got 'nowhere'")):
        open_task(run, corpus="nowhere")
    env = gymnasium.make("ESARM-v0", run=run, corpus=str(tmp_path / "elsewhere"), reward="lve")
    assert len(env.unwrapped.sequence_task.corpus) == 4
    with pytest.raises(InputError, match="its recordings must be at"):
        open_task(run)  # an environment notes nothing


def test_other_recordings_are_refused_with_both_hashes(run: Path, tmp_path: Path) -> None:
    """Indices would mean other sentences, and every score would be wrong."""
    expected = open_run_corpus(run).content_hash[:12]
    other = record(tmp_path / "other", seed=1)
    found = open_corpus(str(other), verify=True).content_hash[:12]
    assert found != expected
    message = (
        f"{run}: its corpus {other} must be as it was in training (content {expected}), got other "
        f"content ({found}); if they have moved"
    )
    for use in (open_task, open_problem):
        with pytest.raises(InputError, match=re.escape(message)):
            use(run, corpus=str(other))
    with pytest.raises(InputError, match=re.escape(message)):
        note_place(run, str(other))
    assert not (tmp_path / "cache" / "places").exists()


def test_a_place_is_noted_once_for_all_runs(run: Path, tmp_path: Path) -> None:
    """Rounds, seeds and experiments are runs on the same recordings."""
    shutil.copytree(run, tmp_path / "copy" / "deep" / "mine")
    (tmp_path / "rec").rename(tmp_path / "elsewhere")
    note_place(run, str(tmp_path / "elsewhere"))
    for each in (run, tmp_path / "copy" / "deep" / "mine"):
        assert open_run_corpus(each).name == str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "gone")
    with pytest.raises(InputError, match="its recordings must be at"):
        open_run_corpus(run)


def test_a_project_that_moves_as_a_whole_is_found(run: Path, tmp_path: Path) -> None:
    """Runs beside their recordings, copied to another machine."""
    for name in ("rec", "runs"):
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "new" / name)
    moved = tmp_path / "new" / "runs" / "mine"
    assert open_run_corpus(moved).name == str(tmp_path / "new" / "rec")
    assert relative_place("synthetic-mini", moved) is None


def test_a_hash_that_is_none_leads_nowhere(run: Path, tmp_path: Path) -> None:
    """A stranger's note must not choose which file is read."""
    path = run / "corpus" / "corpus.json"
    (tmp_path / "note").write_text(str(tmp_path))
    note = json.loads(path.read_text())
    changed = note | {"content_hash": "../../note", "corpus": "/gone", "from_run": "../gone"}
    path.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="its recordings must be at /gone"):
        open_run_corpus(run)


def test_an_export_takes_any_speech(run: Path, tmp_path: Path) -> None:
    """Whoever gets one has other recordings, mostly of sound alone."""
    (run / "export.json").write_text("{}")
    path = run / "corpus" / "corpus.json"
    note = json.loads(path.read_text()) | {"corpus": "recordings"}
    path.write_text(json.dumps({k: v for k, v in note.items() if k != "from_run"}))
    with pytest.raises(InputError, match="is an export, which holds no recordings; give a folder"):
        open_task(run)
    speech = record(tmp_path / "speech", seed=2, voices="vwxyz")
    shutil.rmtree(speech / "blendshape")
    task, folder = open_problem(run, corpus=str(speech))
    assert folder == run
    assert task.conditions.speakers == tuple(note["speakers"]), "as the policy knows them"
    env = gymnasium.make("ESARM-v0", run=run, corpus=str(speech), reward="zero")
    env.reset(seed=0)
    done = False
    while not done:
        _, reward, done, _, info = env.step(env.action_space.sample())
    assert np.isfinite(reward)
    assert np.isnan(info["lve"]), "nothing was captured"

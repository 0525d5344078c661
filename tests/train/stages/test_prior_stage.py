"""Stage `prior`: the tokenizer learns from the run's own corpus, or from nothing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from esarm_env.core.errors import InputError
from esarm_env.task.opening import open_run_corpus
from train.run.config import make_config
from train.run.run_folder import RunFolder
from train.stages import prior
from train.stages.corpus import run_corpus
from train.stages.prior import run_prior


class Seen(Exception):
    """What the tokenizer would have been trained on."""


@pytest.fixture
def folder(recordings: Path, tmp_path: Path) -> Path:
    """Return recordings that two layouts fit; the generic one finds a third take."""
    root = tmp_path / "recorded"
    shutil.copytree(recordings, root)
    (root / "more").mkdir()
    shutil.copy(root / "audio" / "ann_1.wav", root / "more" / "eve_1.wav")
    shutil.copy(root / "blendshape" / "ann_1.npy", root / "more" / "eve_1.npy")
    return root


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> RunFolder:
    """Return a run whose corpus was opened with a layout that is not the recognised one."""
    overrides = (f"corpus.name={folder}", "corpus.layout=generic", "prior.epochs=1")
    run = RunFolder.create(tmp_path / "run", make_config(preset="demo", overrides=overrides))
    run_corpus(run)
    return run


def trained_on(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float32]]:
    """Return the motions that the stage hands to the tokenizer's trainer."""

    def look(motions: list[NDArray[np.float32]], *_: object, **__: object) -> None:
        raise Seen(motions)

    monkeypatch.setattr(prior, "TokenizerTrainer", look)
    with pytest.raises(Seen) as caught:
        run_prior(run)
    seen: list[NDArray[np.float32]] = caught.value.args[0]
    return seen


def test_the_tokenizer_learns_from_the_layout_of_the_run(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recognised anew, the folder is another corpus: fewer takes, other splits."""
    summary = run.summary("corpus")
    assert (summary["layout_found"], summary["n_speakers"]) == ("generic", 3)
    motions = trained_on(run, monkeypatch)
    assert len(motions) == summary["train_utterances"]
    corpus = open_run_corpus(run.path)
    for motion, index in zip(motions, corpus.split("train"), strict=True):
        np.testing.assert_array_equal(motion, corpus[int(index)].motion)


def test_a_bad_take_is_left_out_of_the_tokenizer_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened without being read, the corpus holds the take again, and NaN is learned from."""
    path = folder / "blendshape" / "bob_1.npy"
    motion = np.load(path)
    motion[3, 7] = np.nan
    np.save(path, motion)
    overrides = (f"corpus.name={folder}", "corpus.layout=generic")
    run = RunFolder.create(tmp_path / "run", make_config(preset="demo", overrides=overrides))
    assert run_corpus(run)["takes_left_out"] == 1
    motions = trained_on(run, monkeypatch)
    assert len(motions) == run.summary("corpus")["train_utterances"]
    assert all(np.isfinite(each).all() for each in motions)


def test_a_corpus_that_changed_after_its_stage_is_refused(run: RunFolder, folder: Path) -> None:
    """Its tokenizer would be that of a corpus which no other stage opens."""
    path = folder / "more" / "eve_1.npy"
    np.save(path, np.load(path) * np.float32(0.5))
    message = (
        rf"^{re.escape(str(run.path))}: its corpus {re.escape(str(folder))} must be as it was in "
        r"training \(content \w+\), got other content \(\w+\); .* "
        "run the stages again in a new folder$"
    )
    with pytest.raises(InputError, match=message):
        run_prior(run)
    assert not run.is_finished("prior")

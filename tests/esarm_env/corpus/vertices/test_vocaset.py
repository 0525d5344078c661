"""Vertices written by our own head come back as the coefficients that moved it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus
from esarm_env.corpus import FolderCorpus, open_corpus
from esarm_env.corpus.audit import audit
from esarm_env.corpus.vertices.recordings import official_split, subject_of
from esarm_env.face.head import load_head
from esarm_env.task.opening import open_run_corpus, read_corpus_file
from train.run.config import make_config
from train.run.run_folder import RunFolder
from train.stages.corpus import run_corpus

Make = Callable[..., object]
HEAD = "esarm"


def _check_motion(corpus: Corpus, miniature, *, atol: float) -> None:
    for row, record in enumerate(corpus.records):
        known = miniature.motion[record.id.rpartition("-")[0]][::2]
        np.testing.assert_allclose(corpus[row].motion, known, atol=atol)


@pytest.mark.parametrize("form", ["write_published", "write_files"])
def test_both_forms_give_the_motion_that_made_them(tmp_path, miniature, form) -> None:
    """A wrong unit, template, order of frames or rate: nobody could tell by looking at a face."""
    root = getattr(miniature, form)(tmp_path / "data" / "VOCASET")
    corpus = FolderCorpus(tmp_path / "data", head=HEAD, verify=True)
    assert corpus.layout == "vocaset"
    assert corpus.faults == corpus.notes == ()
    assert corpus.split_rule == "official"
    assert [len(corpus.split(split)) for split in ("train", "validation", "test")] == [1, 1, 1]
    assert {record.emotion for record in corpus.records} == {"neutral"}
    assert {record.speaker for record in corpus.records} == set(miniature.templates)
    assert {record.n_frames for record in corpus.records} == {18}, "every second of 36 frames"
    assert corpus.captured.all()
    _check_motion(corpus, miniature, atol=0.02)
    assert max(fit.residual_mm for fit in corpus.fits.values()) < 1e-3
    again = FolderCorpus(root, head=HEAD)
    assert again.content_hash == corpus.content_hash


def test_what_the_shapes_cannot_do_is_stated_and_listed(tmp_path, make_miniature) -> None:
    """A fit that is silent about its residual sells curves as captured ones."""
    made = make_miniature("Anna_sentence01", "Ben_sentence01", noise_mm=0.2)
    rng = np.random.default_rng(0)
    made.vertices["Ben_sentence01"] += rng.normal(0, 3e-3, (36, load_head().n_vertices, 3)).astype(
        np.float32
    )
    corpus = FolderCorpus(made.write_files(tmp_path / "corpus"), head=HEAD, verify=True)
    fits = corpus.fits
    # The mean length of a normal vector of three components is 1.596 times their spread.
    assert fits["Anna_sentence01"].residual_mm == pytest.approx(0.2 * 1.596, rel=0.03)
    assert fits["Ben_sentence01"].residual_mm == pytest.approx(3 * 1.596, rel=0.03)
    assert fits["Anna_sentence01"].lips_mm > fits["Anna_sentence01"].residual_mm
    found = audit(corpus, progress=False)
    lines = "\n".join(found.lines())
    assert "coefficients are fitted to vertices, and no emotion is known: residual " in lines
    assert f"worst {fits['Ben_sentence01'].residual_mm:.2f} mm in Ben_sentence01" in lines
    badly = [take.id for take in found.takes if any("fit its vertices" in f for f in take.findings)]
    assert badly == ["Ben_sentence01"]
    assert "coefficients fit its vertices badly: residual 4.80 mm" in lines
    told = json.loads(json.dumps(found.to_dict()))["takes"]
    assert [take["fit"]["residual_mm"] for take in told] == [
        fits["Anna_sentence01"].residual_mm,
        fits["Ben_sentence01"].residual_mm,
    ]


def test_fits_are_kept_until_vertices_change(tmp_path, make_miniature, own_cache) -> None:
    """A corpus of hours must not be fitted at each stage, nor stay as it was when it changes."""
    root = make_miniature("Anna_sentence01").write_files(tmp_path / "corpus")
    first = FolderCorpus(root, head=HEAD)
    kept = sorted((own_cache / "vertices" / "fits").glob("*.npz"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 1
    assert FolderCorpus(root, head=HEAD).fits == first.fits
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    changed = root / "vertices_npy" / f"{first.takes[0].id}.npy"
    np.save(changed, np.load(changed)[::-1])
    os.utime(changed, ns=(1, 1))
    again = FolderCorpus(root, head=HEAD)
    np.testing.assert_allclose(again[0].motion, first[0].motion[::-1], atol=0.2)
    assert len(list((own_cache / "vertices" / "fits").glob("*.npz"))) == 2


def test_frames_without_numbers_are_lost_frames(tmp_path, make_miniature) -> None:
    """One broken frame of a scan must not cost the take, nor pass for a face at rest."""
    made = make_miniature("Anna_sentence01")
    made.vertices["Anna_sentence01"][10, 3] = np.nan
    corpus = FolderCorpus(made.write_files(tmp_path / "corpus"), head=HEAD, verify=True)
    assert corpus.fits["Anna_sentence01"].n_lost == 1
    assert [note.reason for note in corpus.notes] == ["1 frames without a face filled"]
    assert np.isfinite(corpus[0].motion).all()


def test_what_is_wrong_costs_its_take_alone(tmp_path, make_miniature) -> None:
    """Of 480 recordings one without sound, template or vertices must not cost the others."""
    names = [f"{name}_sentence01" for name in ("Anna", "Ben", "Cleo", "Dora")]
    made = make_miniature(*names)
    root = made.write_files(tmp_path / "corpus")
    (root / "wav" / "Ben_sentence01.wav").unlink()
    made.pickle(root / "templates.pkl", {k: v for k, v in made.templates.items() if k != "Cleo"})
    np.save(root / "vertices_npy" / "Dora_sentence01.npy", np.zeros((36, 4, 7), np.float32))
    (root / "metadata.csv").write_text("id,text\nAnna_sentence01,Hello.\n")
    corpus = FolderCorpus(root, head=HEAD, verify=True)
    assert [take.id for take in corpus.takes] == ["Anna_sentence01"]
    told = {fault.source: fault.reason for fault in corpus.faults}
    assert told["vertices_npy/Ben_sentence01.npy"] == "has no audio"
    assert told["Cleo_sentence01"] == "has no template of Cleo in templates.pkl"
    assert "must hold floats of shape (T, V, 3) or (T, 3V)" in told["Dora_sentence01"]
    assert told["metadata.csv"] == "is not read in the layout 'vocaset'"


def test_published_takes_without_sound_or_frames_are_listed(tmp_path, make_miniature) -> None:
    """VOCASET lacks some sequences itself."""
    made = make_miniature("Anna_sentence01", "Anna_sentence02", "Anna_sentence03")
    root = made.write_published(tmp_path / "corpus")
    sound = {"audio": made.sound("Anna_sentence01"), "sample_rate": 22_000}
    numbers = {f"sentence0{n}": {i: 36 * (n - 1) + i for i in range(36)} for n in (1, 2)}
    numbers["sentence03"] = {0: 10_000}
    made.pickle(root / "subj_seq_to_idx.pkl", {"Anna": numbers})
    made.pickle(root / "raw_audio_fixed.pkl", {"Anna": {"sentence01": sound}})
    corpus = FolderCorpus(root, head=HEAD, verify=True)
    assert [take.id for take in corpus.takes] == ["Anna_sentence01"]
    assert [str(fault) for fault in corpus.faults] == [
        "Anna_sentence02: has no sound in raw_audio_fixed.pkl",
        "Anna_sentence03: must number frames of the 108 in data_verts.npy",
    ]


def test_the_head_must_be_named_and_the_vertices_be_its_own(tmp_path, miniature) -> None:
    """Coefficients fitted on another mesh are numbers without a meaning."""
    root = miniature.write_files(tmp_path / "corpus")
    n = load_head().n_vertices
    message = f"must be opened with a head of its {n} vertices, to fit coefficients on, got none"
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus(str(root))
    with pytest.raises(InputError, match=r"`path` must be 'esarm'; .* which does not exist"):
        open_corpus(str(root), head=str(tmp_path / "flame.pkl"))
    for take, vertices in miniature.vertices.items():
        np.save(root / "vertices_npy" / f"{take}.npy", vertices[:, :-1].reshape(36, -1))
    faces = {name: face[:-1] for name, face in miniature.templates.items()}
    miniature.pickle(root / "templates.pkl", faces)
    message = f"`corpus.head` must have {n - 1} vertices, as the recordings in {root} have, got"
    with pytest.raises(InputError, match=re.escape(message)):
        open_corpus(str(root), head=HEAD)


def test_vertices_in_another_order_are_refused(tmp_path, miniature) -> None:
    """The same number of vertices is not yet the same mesh."""
    root = miniature.write_files(tmp_path / "corpus")
    faces = {name: face[::-1].copy() for name, face in miniature.templates.items()}
    miniature.pickle(root / "templates.pkl", faces)
    with pytest.raises(InputError, match="must have the recordings' vertices in their order"):
        open_corpus(str(root), head=HEAD)


def test_a_head_and_a_rate_are_refused_where_they_are_of_no_use(tmp_path, miniature) -> None:
    """A setting that is accepted in silence is believed to have done something."""
    root = miniature.write_files(tmp_path / "corpus")
    with pytest.raises(InputError, match="`rate_hz` must be left out for the layout 'vocaset'"):
        open_corpus(str(root), head=HEAD, rate_hz=60)
    (tmp_path / "other" / "audio").mkdir(parents=True)
    (tmp_path / "other" / "audio" / "a.wav").touch()
    with pytest.raises(InputError, match="`head` must be left out for the layout 'generic'"):
        open_corpus(str(tmp_path / "other"), head=HEAD)
    with pytest.raises(InputError, match="`head` must be left out for the corpus 'synthetic-mead'"):
        open_corpus("synthetic-mead", head=HEAD)


@pytest.mark.parametrize("name", ["templates.pkl", "raw_audio_fixed.pkl", "subj_seq_to_idx.pkl"])
def test_nothing_in_a_pickle_is_executed(tmp_path, miniature, name) -> None:
    """A corpus from somebody else must not be a program from somebody else."""
    root = miniature.write_published(tmp_path / "corpus")
    flag = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(flag),)

    miniature.pickle(root / name, {"Anna": Hostile()})
    with pytest.raises(InputError, match=r"the class posix\.mkdir, which no array needs") as error:
        open_corpus(str(root), head=HEAD)
    assert str(root / name) in str(error.value)
    assert not flag.exists()


def test_splits_are_those_of_the_papers() -> None:
    """Another split, and no published figure can be set beside ours."""
    held_out, tested = "FaceTalk_170908_03277_TA", "FaceTalk_170731_00024_TA"
    assert official_split("FaceTalk_170725_00137_TA", 1) == ("train", False)
    assert official_split(held_out, 21) == ("validation", False)
    assert official_split(tested, 40) == ("test", False)
    assert official_split(tested, 20) == (None, True)
    assert official_split("F2", 32) == ("train", False)
    assert official_split("M5", 33) == ("validation", False)
    assert official_split("F2", 37) == official_split("M1", 40) == ("test", False)
    assert official_split("M1", 5) == (None, True)
    assert official_split("Anna", 5) == (None, False)
    assert subject_of("F2_e31") == ("F2", 31)
    assert subject_of("FaceTalk_170725_00137_TA_sentence07") == ("FaceTalk_170725_00137_TA", 7)


def test_recordings_of_no_split_are_left_out_and_said(tmp_path, make_miniature) -> None:
    """Trained on, they would show the faces that are tested."""
    tested = "FaceTalk_170809_00138_TA"
    made = make_miniature(f"{tested}_sentence01", f"{tested}_sentence02", f"{tested}_sentence21")
    corpus = FolderCorpus(made.write_files(tmp_path / "corpus"), head=HEAD)
    assert [take.id for take in corpus.takes] == [f"{tested}_sentence21"]
    assert [str(fault) for fault in corpus.faults] == [
        f"{tested}: 2 recordings are in no official split, and left out"
    ]


def test_a_run_opens_the_corpus_on_its_head_again(tmp_path, miniature) -> None:
    """Later stages open it by what the first one noted; without the head they could not."""
    root = miniature.write_files(tmp_path / "corpus")
    config = make_config(preset="demo", overrides=[f"corpus.name={root}", "corpus.head=esarm"])
    run_corpus(RunFolder.create(tmp_path / "run", config))
    noted = read_corpus_file(tmp_path / "run")
    assert noted["head"] == HEAD
    assert open_run_corpus(tmp_path / "run").content_hash == noted["content_hash"]

"""A corpus of recordings in a folder: cut, split and checked, take by take."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env.corpus import folder as folder_module
from esarm_env.corpus.folder import (
    LONGEST_S,
    MAX_LENGTH_DIFFERENCE,
    SHORTEST_S,
    FolderCorpus,
    find_takes,
)
from esarm_env.errors import InputError
from esarm_env.face import ARKIT_NAMES
from esarm_env.types import N_CHANNELS, n_frames_of

RATE_HZ = 16_000
STILL = [ARKIT_NAMES.index(name) for name in ("tongueOut", "browInnerUp")]


def write_take(
    root: Path, stem: str, *, n_frames: int = 90, motion: Any = None, seed: int = 0
) -> None:
    """Write noise in bursts of about two seconds, and a ramp of motion beside it."""
    rng = np.random.default_rng(seed)
    n_samples = n_frames * RATE_HZ // 30
    loudness = np.where(np.arange(n_samples) / RATE_HZ % 2.2 < 2.0, 0.1, 1e-4)
    for folder in ("audio", "blendshape"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    audio = (rng.normal(0, 1, n_samples) * loudness).astype(np.float32)
    soundfile.write(root / "audio" / f"{stem}.wav", audio, RATE_HZ)
    np.save(root / "blendshape" / f"{stem}.npy", ramp(n_frames) if motion is None else motion)


def ramp(n_frames: int) -> np.ndarray:
    """Return motion whose channels tell the frame, but for two that stand still."""
    motion = np.tile(np.arange(n_frames)[:, None] / 2000, (1, N_CHANNELS))
    motion[:, STILL] = 0.25
    return motion


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> FolderCorpus:
    """Return two takes of 50 s and one short one, in two folders as 3D-ETF has them."""
    root = tmp_path_factory.mktemp("etf")
    write_take(root / "ravdess", "anna_1", n_frames=1500, seed=1)
    write_take(root / "ravdess", "anna_2", n_frames=70, seed=2)
    write_take(root / "hdtf", "ben_1", n_frames=1500, seed=3)
    return FolderCorpus(root)


def test_pieces_hold_their_own_stretch_of_the_take(corpus: FolderCorpus) -> None:
    """Audio of one piece beside the motion of another is what no shape would show."""
    takes = [("ben", 1500), ("anna", 1500), ("anna", 70)]
    seen: list[list[float]] = [[], [], []]
    number = -1
    for index in range(len(corpus)):
        utterance = corpus[index]
        record = corpus.records[index]
        assert utterance.record is record
        begin = int(record.id[-5:])
        number += begin == 0
        expected = np.arange(begin, begin + record.n_frames) / 2000
        np.testing.assert_allclose(utterance.motion[:, 0], expected, atol=1e-6)
        assert abs(n_frames_of(len(utterance.audio)) - record.n_frames) <= 1
        assert record.n_frames <= LONGEST_S * 30 + 1
        assert (record.emotion, record.intensity, record.text) == ("neutral", 1, None)
        assert record.speaker == takes[number][0]
        seen[number] += expected.tolist()
    for frames, (_, n_frames) in zip(seen, takes, strict=True):
        np.testing.assert_allclose(frames, np.arange(n_frames) / 2000)
    long = [record.n_frames for record in corpus.records if "anna_2" not in record.id]
    assert len(long) == len(corpus) - 1
    assert min(long) >= SHORTEST_S * 30 - 1


def test_audio_stays_beside_its_motion(tmp_path: Path) -> None:
    """A drift of one sample a piece is 100 ms after an hour."""
    write_take(tmp_path, "anna_1", n_frames=1500)
    corpus = FolderCorpus(tmp_path)
    whole, _ = soundfile.read(tmp_path / "audio" / "anna_1.wav", dtype="float32")
    joined = np.concatenate([corpus[index].audio for index in range(len(corpus))])
    np.testing.assert_array_equal(joined, whole)
    for index, record in enumerate(corpus.records):
        begin = round(int(record.id[-5:]) / 30 * RATE_HZ)
        np.testing.assert_array_equal(corpus[index].audio[:100], whole[begin : begin + 100])


def test_ids_name_one_utterance_each(corpus: FolderCorpus) -> None:
    """`reset(options={"utterance": id})` takes the first that matches."""
    assert len({record.id for record in corpus.records}) == len(corpus)


def test_equal_names_in_two_folders_have_two_ids(tmp_path: Path) -> None:
    """Corpora put side by side often number their files from 1."""
    for folder in ("ravdess", "hdtf"):
        write_take(tmp_path / folder, "001")
    corpus = FolderCorpus(tmp_path)
    assert [record.id for record in corpus.records] == ["hdtf/001-00000", "ravdess/001-00000"]


def test_an_id_holds_no_more_of_the_path_than_it_needs(tmp_path: Path) -> None:
    """An id that names the user's disk would be another one on the next machine."""
    write_take(tmp_path, "anna_1")
    assert [record.id for record in FolderCorpus(tmp_path).records] == ["anna_1-00000"]
    (record,) = FolderCorpus(tmp_path.parent / "." / tmp_path.name).records
    assert (record.id, record.speaker) == ("anna_1-00000", "anna")


def test_splits_share_no_utterance_and_lose_none(corpus: FolderCorpus) -> None:
    """Test utterances in training make every number in the paper too good."""
    parts = [corpus.split(name).tolist() for name in ("train", "validation", "test")]
    assert all(parts), "takes of 50 s must fill every split"
    assert sorted(itertools.chain(*parts)) == list(range(len(corpus)))


def test_an_unknown_split_is_rejected(corpus: FolderCorpus) -> None:
    """`KeyError: 'dev'` does not say which splits there are."""
    message = "`split` must be one of train, validation, test, got 'dev'"
    with pytest.raises(InputError, match=re.escape(message)):
        corpus.split("dev")


def test_still_channels_are_not_captured(corpus: FolderCorpus) -> None:
    """Brows that the recorder never measured would count as a perfect prediction of rest."""
    assert corpus.captured.dtype == np.bool_
    assert np.flatnonzero(~corpus.captured).tolist() == sorted(STILL)
    np.testing.assert_array_equal(corpus[0].captured, corpus.captured)


def test_motion_is_clipped_to_its_range(tmp_path: Path) -> None:
    """ARKit's smoothing overshoots by a few per cent; the tokenizer counts on [0, 1]."""
    write_take(tmp_path, "anna_1", motion=ramp(90) * 30 - 0.1)
    motion = FolderCorpus(tmp_path)[0].motion
    assert motion.dtype == np.float32
    assert (motion.min(), motion.max()) == (0, 1)


@pytest.mark.parametrize("difference", [-MAX_LENGTH_DIFFERENCE, -1, 1, MAX_LENGTH_DIFFERENCE])
def test_a_few_frames_of_difference_are_trimmed(tmp_path: Path, difference: int) -> None:
    """Recorders stop sound and face some milliseconds apart."""
    write_take(tmp_path, "anna_1", motion=ramp(90 + difference))
    corpus = FolderCorpus(tmp_path)
    n_frames = min(90, 90 + difference)
    assert corpus.records[0].n_frames == n_frames
    assert len(corpus[0].audio) == n_frames * RATE_HZ // 30


def test_content_and_nothing_else_decides_the_hash(tmp_path: Path) -> None:
    """Features are cached under it: a change that it misses meets stale features."""
    hashes = []
    for change in ("none", "moved", "motion", "audio"):
        root = tmp_path / change
        motion = ramp(90)
        motion[50, 3] += 0.001 * (change == "motion")
        write_take(root, "anna_1", motion=motion, seed=int(change == "audio"))
        hashes.append(FolderCorpus(root).content_hash)
        assert FolderCorpus(root).content_hash == hashes[-1], "the hash must not depend on the run"
    assert hashes[0] == hashes[1], "another folder with equal content is the same corpus"
    assert len(set(hashes)) == 3


def test_takes_without_a_partner_are_left_out(tmp_path: Path) -> None:
    """3D-ETF has motion whose audio must be downloaded: what is there is still usable."""
    write_take(tmp_path, "anna_1")
    write_take(tmp_path, "anna_2")
    (tmp_path / "audio" / "anna_2.wav").unlink()
    (tmp_path / "audio" / "notes.txt").write_text("no speech")
    assert [audio.stem for audio, _ in find_takes(tmp_path)] == ["anna_1"]


def no_folder(root: Path) -> None:
    (root / "blendshape" / "anna_1.npy").unlink()


def no_partner(root: Path) -> None:
    (root / "audio" / "anna_1.wav").rename(root / "audio" / "anna_2.wav")


@pytest.mark.parametrize("spoil", [no_folder, no_partner])
def test_another_layout_is_rejected(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """The message shows what was found, so that a folder too high or too low is seen."""
    write_take(tmp_path, "anna_1")
    spoil(tmp_path)
    message = (
        f"{tmp_path}: must hold `audio/NAME.wav` and `blendshape/NAME.npy` with equal names, "
        "found ['audio', 'blendshape']"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        FolderCorpus(tmp_path)


def test_a_missing_folder_is_rejected(tmp_path: Path) -> None:
    """Listing it would end in a traceback."""
    with pytest.raises(InputError, match=re.escape("found no such folder")):
        FolderCorpus(tmp_path / "absent")


def nan_at(frame: int) -> np.ndarray:
    motion = ramp(90)
    motion[frame, 7] = np.nan
    return motion


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (ramp(90)[:, :51], "must be numbers of shape (T, 52), got float64 (90, 51)"),
        (ramp(90)[:, 0], "must be numbers of shape (T, 52), got float64 (90,)"),
        (np.float32(1), "must be numbers of shape (T, 52), got float32 ()"),
        (ramp(90) > 0, "must be numbers of shape (T, 52), got bool (90, 52)"),
        (ramp(90) * 1j, "must be numbers of shape (T, 52), got complex128 (90, 52)"),
        (np.full((90, 52), "0.5"), "must be numbers of shape (T, 52), got <U3 (90, 52)"),
        (nan_at(89), "must be finite, got NaN or infinite; export it again"),
        (np.full((90, 52), np.inf), "must be finite, got NaN or infinite; export it again"),
        (ramp(94), "must be within 3 frames of its audio (90 frames at 30 fps), got 94"),
        (ramp(86), "must be within 3 frames of its audio (90 frames at 30 fps), got 86"),
        (ramp(180), "must be within 3 frames of its audio (90 frames at 30 fps), got 180"),
        (np.array([None, 1], dtype=object), "must be a whole .npy array, got "),
    ],
)
def test_bad_motion_is_rejected(tmp_path: Path, motion: np.ndarray, message: str) -> None:
    """60 fps motion taken for 30 fps plays at half speed; the file to repair is named first."""
    write_take(tmp_path, "anna_1", motion=motion)
    path = tmp_path / "blendshape" / "anna_1.npy"
    with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
        FolderCorpus(tmp_path)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1"])
def test_numbers_of_any_kind_are_allowed(tmp_path: Path, dtype: str) -> None:
    """Blender exports doubles, others halves; 0 and 1 may come as integers."""
    motion = (ramp(90) > 0.02).astype(dtype)
    write_take(tmp_path, "anna_1", motion=motion)
    read = FolderCorpus(tmp_path)[0].motion
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, motion)


@pytest.mark.parametrize("n_bytes", [0, 5, 60, 1000, -1])
def test_a_truncated_array_is_rejected(tmp_path: Path, n_bytes: int) -> None:
    """An interrupted download must not end in a traceback of numpy's."""
    write_take(tmp_path, "anna_1")
    path = tmp_path / "blendshape" / "anna_1.npy"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a whole .npy array, got ")):
        FolderCorpus(tmp_path)


def test_an_archive_of_arrays_is_rejected(tmp_path: Path) -> None:
    """An .npz renamed to .npy loads as something that has no shape."""
    write_take(tmp_path, "anna_1")
    path = tmp_path / "blendshape" / "anna_1.npy"
    with path.open("wb") as file:
        np.savez(file, motion=ramp(90))
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a whole .npy array, got ")):
        FolderCorpus(tmp_path)


def test_text_for_audio_is_rejected(tmp_path: Path) -> None:
    """A user must read which file is wrong, not a traceback of libsndfile's."""
    write_take(tmp_path, "anna_1")
    path = tmp_path / "audio" / "anna_1.wav"
    path.write_text("hello")
    with pytest.raises(InputError, match=re.escape(f"{path}: must be audio that libsndfile")):
        FolderCorpus(tmp_path)


def test_a_take_may_be_longer_than_a_file_to_animate(tmp_path: Path) -> None:
    """Recordings of a whole session are cut here; 600 s is the limit elsewhere."""
    assert folder_module.LONGEST_TAKE_S == 4 * 3600
    n_frames = 610 * 30
    write_take(tmp_path, "anna_1", n_frames=n_frames, motion=np.zeros((n_frames, 52), np.float16))
    corpus = FolderCorpus(tmp_path)
    assert sum(record.n_frames for record in corpus.records) == n_frames


def test_a_take_beyond_its_limit_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples of a day would not fit into memory."""
    monkeypatch.setattr(folder_module, "LONGEST_TAKE_S", 2.9)
    write_take(tmp_path, "anna_1")
    path = tmp_path / "audio" / "anna_1.wav"
    message = f"{path}: duration must be 0.2 to 2.9 s, got 3.000 s"
    with pytest.raises(InputError, match=re.escape(message)):
        FolderCorpus(tmp_path)


def test_bad_audio_is_rejected(tmp_path: Path) -> None:
    """The rules for speech hold in a corpus as well."""
    write_take(tmp_path, "anna_1")
    path = tmp_path / "audio" / "anna_1.wav"
    soundfile.write(path, np.zeros(48_000), RATE_HZ)
    with pytest.raises(InputError, match=re.escape(f"{path}: must hold speech, got silence")):
        FolderCorpus(tmp_path)

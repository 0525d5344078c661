"""What cannot be used: left out and listed, told when it is read, or mended and noted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, SAMPLE_RATE_HZ, Utterance
from esarm_env.corpus import open_corpus
from esarm_env.corpus.folder import FolderCorpus

WriteTake = Callable[..., None]
Array = np.ndarray
RAMP_S = 64.0  # after which the motion of `ramp` is 1


def times_of(utterance: Utterance) -> Array:
    """Return the time in its take that each frame of `ramp` tells, in seconds."""
    return utterance.motion[:, 0] * RAMP_S


@pytest.fixture
def root(three_takes: Path) -> Path:
    """Return a folder of three good takes of 3 s."""
    return three_takes


def truncated_npy(root: Path) -> None:
    path = root / "blendshape" / "anna_2.npy"
    path.write_bytes(path.read_bytes()[:-1])


def empty_npy(root: Path) -> None:
    (root / "blendshape" / "anna_2.npy").write_bytes(b"")


def over_long(root: Path) -> None:
    np.save(root / "blendshape" / "anna_2.npy", np.zeros((94, N_CHANNELS)))


def over_short(root: Path) -> None:
    np.save(root / "blendshape" / "anna_2.npy", np.zeros((86, N_CHANNELS)))


def too_narrow(root: Path) -> None:
    np.save(root / "blendshape" / "anna_2.npy", np.zeros((90, 50)))


def pickled(root: Path) -> None:
    np.save(root / "blendshape" / "anna_2.npy", np.array([None]), allow_pickle=True)


def text_for_audio(root: Path) -> None:
    (root / "audio" / "anna_2.wav").write_text("hello")


def no_bytes_of_audio(root: Path) -> None:
    (root / "audio" / "anna_2.wav").write_bytes(b"")


def no_samples(root: Path) -> None:
    soundfile.write(root / "audio" / "anna_2.wav", np.zeros(0), SAMPLE_RATE_HZ)


def a_click(root: Path) -> None:
    soundfile.write(root / "audio" / "anna_2.wav", np.full(1600, 0.1), SAMPLE_RATE_HZ)
    np.save(root / "blendshape" / "anna_2.npy", np.zeros((3, N_CHANNELS)))


def dead_link(root: Path) -> None:
    (root / "audio" / "anna_2.wav").unlink()
    (root / "audio" / "anna_2.wav").symlink_to(root / "nowhere.wav")


def dead_motion_link(root: Path) -> None:
    (root / "blendshape" / "anna_2.npy").unlink()
    (root / "blendshape" / "anna_2.npy").symlink_to(root / "nowhere.npy")


def broken_header(root: Path) -> None:
    path = root / "blendshape" / "anna_2.npy"
    path.write_bytes(path.read_bytes().replace(b"(90, 52)", b" 90, 52)"))


def distant_time(root: Path) -> None:
    (root / "blendshape" / "anna_2.npy").unlink()
    (root / "blendshape" / "anna_2.csv").write_text("time_s,jawOpen\n0,0\n1e308,0.1\n")


def no_motion(root: Path) -> None:
    (root / "blendshape" / "anna_2.npy").unlink()


def no_sound(root: Path) -> None:
    (root / "audio" / "anna_2.wav").unlink()


def not_finite(root: Path) -> None:
    motion = np.full((90, N_CHANNELS), 0.5)
    motion[3, 7] = np.nan
    np.save(root / "blendshape" / "anna_2.npy", motion)


def out_of_range(root: Path) -> None:
    motion = np.full((90, N_CHANNELS), 0.5)
    motion[40, 7] = -2
    np.save(root / "blendshape" / "anna_2.npy", motion)


def silence(root: Path) -> None:
    soundfile.write(root / "audio" / "anna_2.wav", np.zeros(48_000), SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncated_npy, "as its header says, got "),
        (empty_npy, "must hold motion, got an empty file (0 bytes)"),
        (over_long, "within 3 frames at 30 fps, got 94 frames at 30 fps (3.13 s)"),
        (over_short, "within 3 frames at 30 fps, got 86 frames at 30 fps (2.87 s)"),
        (too_narrow, "must have 52 columns in alphabetical ARKit order"),
        (pickled, "must be numbers of shape (T, 52)"),
        (text_for_audio, "must be audio that libsndfile reads"),
        (no_bytes_of_audio, "must hold audio, got an empty file (0 bytes)"),
        (no_motion, "has no motion"),
        (no_sound, "has no audio"),
        (no_samples, "duration must be 0.2 to"),
        (a_click, "duration must be 0.2 to"),
        (dead_link, "no such file"),
        (dead_motion_link, "no such file"),
        (broken_header, "must be a whole .npy array"),
        (distant_time, "anna_2.csv: "),
    ],
)
def test_one_bad_take_is_listed_and_the_others_open(
    spoil: Callable[[Path], None], message: str, root: Path
) -> None:
    """One unreadable clip among thousands must not cost a night, nor vanish unseen."""
    spoil(root)
    for _ in range(2):  # the second time, the index tells
        corpus = open_corpus(str(root))
        assert isinstance(corpus, FolderCorpus)
        assert [record.id for record in corpus.records] == ["anna_1-00000", "ben_1-00000"]
        (fault,) = corpus.faults
        assert "anna_2" in fault.source
        assert message in fault.reason
        assert [len(corpus[index].motion) for index in range(2)] == [90, 90]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (not_finite, "coefficients must be finite, got NaN or infinite ones in"),
        (out_of_range, "must be within 0.1 of [0, 1]"),
        (silence, "must hold speech, got silence"),
    ],
)
def test_bad_content_is_left_out_if_verified_and_told_when_read_otherwise(
    spoil: Callable[[Path], None], message: str, root: Path
) -> None:
    """Headers do not show it; learned from, it turns the loss to NaN."""
    spoil(root)
    lazy = FolderCorpus(root)
    assert (len(lazy), lazy.faults) == (3, ())
    with pytest.raises(InputError, match=re.escape(message)):
        lazy[1]
    with pytest.raises(InputError, match=re.escape(message)):
        assert lazy.content_hash
    assert lazy[2].record.id == "ben_1-00000"
    assert lazy.captured.all()
    verified = FolderCorpus(root, verify=True)
    assert [record.id for record in verified.records] == ["anna_1-00000", "ben_1-00000"]
    (fault,) = verified.faults
    assert fault.source == "anna_2" and message in fault.reason
    assert len(verified.content_hash) == 64


def test_long_takes_show_their_sound_at_the_opening(root: Path, write_take: WriteTake) -> None:
    """They are read for their pauses, and silence has none."""
    write_take(root, "anna_2", duration_s=20)
    soundfile.write(root / "audio" / "anna_2.wav", np.zeros(20 * 16_000), SAMPLE_RATE_HZ)
    corpus = FolderCorpus(root)
    assert [fault.source for fault in corpus.faults] == ["anna_2"]
    assert "must hold speech, got silence" in corpus.faults[0].reason


@pytest.mark.parametrize("difference", [-3, -1, 1, 3])
@pytest.mark.parametrize("verify", [False, True])
def test_a_few_frames_of_difference_are_trimmed_and_noted(
    difference: int, verify: bool, tmp_path: Path, write_take: WriteTake
) -> None:
    """Recorders stop sound and face some milliseconds apart."""
    write_take(tmp_path, "anna_1", n_frames=90 + difference)
    corpus = FolderCorpus(tmp_path, verify=verify)
    n_frames = min(90, 90 + difference)
    assert corpus.records[0].n_frames == n_frames
    assert len(corpus[0].audio) == n_frames * SAMPLE_RATE_HZ // 30
    assert len(corpus[0].motion) == n_frames
    longer = "motion" if difference > 0 else "audio"
    (note,) = corpus.notes
    assert (note.source, corpus.faults) == ("anna_1", ())
    assert note.reason.startswith(f"{longer} trimmed by {abs(difference)} frame")


def test_two_sounds_of_one_name_are_listed_and_one_is_used(root: Path) -> None:
    """Ids must be unique; which of two files was heard must be told."""
    sound, rate_hz = soundfile.read(root / "audio" / "ben_1.wav")
    soundfile.write(root / "audio" / "ben_1.flac", sound, rate_hz)
    corpus = FolderCorpus(root)
    assert len(corpus) == 3
    (fault,) = corpus.faults
    assert fault.source == "audio/ben_1.flac"
    assert fault.reason == "is a duplicate of audio/ben_1.wav, which is used"


def test_a_folder_without_a_usable_take_says_why(root: Path) -> None:
    """An empty corpus would fail much later and say less."""
    for path in (root / "blendshape").iterdir():
        path.write_bytes(b"")
    message = f"{root}: must hold a usable take, got none (anna_1: "
    with pytest.raises(InputError, match=re.escape(message)):
        FolderCorpus(root)


def test_a_folder_whose_motion_nobody_reads_says_so(root: Path) -> None:
    """It opened as sound alone, with nothing listed."""
    for path in (root / "blendshape").iterdir():
        path.rename(path.with_suffix(".npy.gz"))
    message = (
        f"{root}: must hold a usable take, got none (blendshape/anna_1.npy.gz: is taken for the "
        "motion of anna_1 by its name, and .npy.gz is not read: unpack it with gunzip; if it is "
        "none, move it away; "
    )
    with pytest.raises(InputError, match=re.escape(message)):
        FolderCorpus(root)


def test_tables_in_the_letters_of_a_spreadsheet_are_noted(root: Path) -> None:
    """What was guessed must be seen in the corpus."""
    (root / "metadata.csv").write_bytes("id,speaker\nben_1,J\u00fcrgen\n".encode("cp1252"))
    (root / "offsets.csv").write_bytes("id,offset_s\nben_1,0\nJ\u00fcrgen,0\n".encode("cp1252"))
    (root / "Offsets.csv").write_bytes(b"")
    corpus = FolderCorpus(root)
    assert corpus.records[2].speaker == "J\u00fcrgen"
    assert [note.source for note in corpus.notes] == ["metadata.csv", "offsets.csv"]
    assert ("Offsets.csv" in {fault.source for fault in corpus.faults}) == (
        len({path.name for path in root.iterdir()}) == 5
    )


def test_a_space_that_is_no_ascii_is_noted_too(root: Path) -> None:
    """The note looked for a word of such letters, and ended in an exception without one."""
    (root / "offsets.csv").write_bytes(b"id,offset_s\nben_1\xa0,0\n")
    corpus = FolderCorpus(root)
    (note,) = corpus.notes
    assert "was read as Windows-1252, such as 'ben_1\\xa0' in line 2" in note.reason


@pytest.mark.parametrize("name", ["metadata.csv", "offsets.csv"])
@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"who,what\na,b\n", b"id,text\n\x81,1\n"])
def test_a_table_that_cannot_be_used_costs_itself(name: str, content: bytes, root: Path) -> None:
    """One bad export closed the recordings of a year."""
    (root / name).write_bytes(content)
    corpus = FolderCorpus(root, verify=True)
    assert len(corpus) == 3
    (fault,) = corpus.faults
    assert fault.source == name
    assert fault.reason.endswith("; nothing of it is used")


def test_the_reasons_are_cut_short(root: Path, write_take: WriteTake) -> None:
    """Thousands of reasons would scroll the first line away."""
    write_take(root, "cleo_1")
    write_take(root, "cleo_2")
    for path in (root / "blendshape").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"got an empty file \(0 bytes\) and 2 more\)$"):
        FolderCorpus(root)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    """The message shows what is there, so that a folder too high or too low is seen."""
    (tmp_path / "notes").mkdir()
    message = f"{tmp_path}: must be laid out as below, found notes/"
    with pytest.raises(InputError, match=re.escape(message)):
        FolderCorpus(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """Listing it would end in a traceback."""
    with pytest.raises(InputError, match=re.escape("`folder` must be a folder of recordings")):
        FolderCorpus(tmp_path / "absent")


def test_a_take_may_be_longer_than_a_file_to_animate(tmp_path: Path, write_take: WriteTake) -> None:
    """Recordings of a whole session are cut here; 600 s is the limit elsewhere."""
    n_frames = 610 * 30
    motion = np.full((n_frames, N_CHANNELS), 0.5, np.float16)
    write_take(tmp_path, "anna_1", duration_s=610, motion=motion)
    assert sum(record.n_frames for record in FolderCorpus(tmp_path).records) == n_frames


def test_a_take_beyond_its_limit_is_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples of a day would not fit into memory; the header tells how many there are."""
    for module in ("alignment", "survey"):
        monkeypatch.setattr(f"esarm_env.corpus.{module}.LONGEST_TAKE_S", 2.9)
    with pytest.raises(InputError, match=re.escape("duration must be 0.2 to 2.9 s, got 3.000 s")):
        FolderCorpus(root)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1"])
def test_numbers_of_any_kind_are_allowed(
    dtype: str, tmp_path: Path, write_take: WriteTake, ramp: Callable[..., Array]
) -> None:
    """Blender exports doubles, others halves; 0 and 1 may come as integers."""
    motion = (ramp(90) > 0.02).astype(dtype)
    write_take(tmp_path, "anna_1", motion=motion)
    read = FolderCorpus(tmp_path)[0].motion
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, motion)


def test_frames_without_a_face_are_filled_and_noted(
    tmp_path: Path, write_take: WriteTake, ramp: Callable[..., Array]
) -> None:
    """A tracker blinks; a take of minutes must not be lost to it, nor be mended unseen."""
    motion = ramp(90)
    motion[40:43] = np.nan
    write_take(tmp_path, "anna_1", motion=motion)
    corpus = FolderCorpus(tmp_path, verify=True)
    np.testing.assert_allclose(times_of(corpus[0]), np.arange(90) / 30, atol=1e-4)
    assert [note.reason for note in corpus.notes] == ["3 frames without a face filled"]


def test_motion_that_starts_late_is_not_frozen_unseen(
    tmp_path: Path, write_take: WriteTake, ramp: Callable[..., Array]
) -> None:
    """A face lost for so long is refused; one that was never there must not pass either."""
    write_take(tmp_path, "anna_1")
    write_take(tmp_path, "anna_2", seed=1)
    (tmp_path / "blendshape" / "anna_2.npy").unlink()
    np.savez(
        tmp_path / "blendshape" / "anna_2.npz", values=ramp(63), time_s=np.arange(63) / 30 + 0.9
    )
    corpus = FolderCorpus(tmp_path, verify=True)
    assert "anna_2" in {fault.source for fault in (*corpus.faults, *corpus.notes)}


def test_a_take_whose_offset_is_doubtful_is_left_out(root: Path) -> None:
    """Read without its correction, its lips would come before its voice."""
    (root / "offsets.csv").write_text("id,offset_s\nanna_2,soon\nben_1,0.1\nnobody,late\n")
    corpus = FolderCorpus(root)
    assert [take.id for take in corpus.takes] == ["anna_1", "ben_1"]
    assert [(fault.source, fault.reason[:41]) for fault in corpus.faults] == [
        ("anna_2", "its offset must be corrected, got could n"),
        ("offsets.csv", "names 'nobody', which is no take, with co"),
    ]


def link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


def forbidden(path: Path) -> None:
    path.write_bytes(b"x" * 200)
    path.chmod(0)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(3000))


@pytest.mark.parametrize("make", [link_loop, os.mkfifo, folder, forbidden, zeros])
@pytest.mark.parametrize("name", ["audio/anna_2.wav", "blendshape/anna_2.npy"])
def test_whatever_has_the_name_of_a_file_costs_its_take_alone(
    make: Callable[[Path], None], name: str, root: Path
) -> None:
    """A FIFO is waited at for ever, and a link to itself ended the opening of thousands."""
    (root / name).unlink()
    make(root / name)
    corpus = FolderCorpus(root, verify=True)
    assert [take.id for take in corpus.takes] == ["anna_1", "ben_1"]
    assert ["anna_2" in fault.source for fault in corpus.faults] == [True]


def test_an_error_that_a_library_was_not_expected_to_raise_costs_its_take_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoders have no closed list of errors."""

    def fail(path: Path, **_: object) -> float:
        if path.stem == "anna_2":
            raise TypeError("of a kind\nthat nobody knew")
        return 3.0

    monkeypatch.setattr("esarm_env.corpus.survey.measure_audio", fail)
    corpus = FolderCorpus(root)
    assert [(fault.source, fault.reason) for fault in corpus.faults] == [
        ("anna_2", "cannot be read (TypeError: of a kind that nobody knew)")
    ]


def test_what_a_reader_left_out_is_noted(root: Path) -> None:
    """A column or row that is dropped without a word may be the one that mattered."""
    (root / "blendshape" / "anna_2.npy").unlink()
    lines = ["time_s,jawOpen,mood", *(f"{i / 30:.5f},{i / 100:.2f},9" for i in range(90))]
    lines[40] += ",1"
    lines[60] = lines[59]
    (root / "blendshape" / "anna_2.csv").write_text("\n".join(lines))
    corpus = FolderCorpus(root, verify=True)
    assert corpus.faults == ()
    assert [(note.source, note.reason) for note in corpus.notes] == [
        ("anna_2", "columns that are no shapes left out: mood"),
        (
            "anna_2",
            "1 frame that cannot be read taken for lost: must be a table of numbers, got 4 columns "
            "instead of 3 in line 41",
        ),
        ("anna_2", "frames left out for a repeated time: 1"),
        ("anna_2", "1 frames without a face filled"),
    ]

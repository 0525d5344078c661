"""Folders of speech: every sound file counts, and one that cannot be read costs itself alone."""

import re

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from train.speech.folder import Clip, held_out, read_speech, tell, without

RATE_HZ = 16_000


@pytest.fixture
def write(tmp_path, make_speech):
    """A function that writes a sound file below `tmp_path / "voice"`."""

    def write_file(name, *, seconds=1.0, seed=0, folder="voice", level=1.0):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, level * make_speech(seconds, seed=seed), RATE_HZ)
        return path

    return write_file


def clips_of(*files, parts=1):
    """Return recordings of so many parts of each file."""
    return [
        Clip(f"{file}-{part}", f"{file}.wav", np.full(8, number + part / 8, dtype=np.float32))
        for number, file in enumerate(files)
        for part in range(parts)
    ]


def test_files_of_any_layout_are_read(write, tmp_path):
    """New voices come as they lie on a disk, and not in a corpus's layout."""
    for seed, name in enumerate(("b.wav", "deep/er/a.flac", "odd name é.ogg")):
        write(name, seed=seed)
    read = read_speech(tmp_path / "voice")
    assert [clip.name for clip in read.clips] == ["b", "odd name é", "deep/er/a"]
    assert [clip.file for clip in read.clips] == ["b.wav", "odd name é.ogg", "deep/er/a.flac"]
    assert read.left_out == () and read.motion == ()
    assert read.duration_s == pytest.approx(3.0)


def test_what_cannot_be_read_is_named_and_costs_no_neighbour(write, tmp_path):
    """One broken file among a thousand must neither end the training nor vanish unseen."""
    write("good.wav")
    write("short.wav", seconds=0.1)
    write("silent.wav", level=0.0)
    (tmp_path / "voice" / "text.wav").write_text("no sound")
    (tmp_path / "voice" / "empty.mp3").write_bytes(b"")
    read = read_speech(tmp_path / "voice")
    assert [clip.name for clip in read.clips] == ["good"]
    reasons = {fault.source: fault.reason for fault in read.left_out}
    assert set(reasons) == {"short.wav", "silent.wav", "text.wav", "empty.mp3"}
    assert reasons["short.wav"].startswith("duration must be 0.2 to ")
    assert reasons["silent.wav"].startswith("must hold speech, got silence")
    with pytest.warns(UserWarning, match=re.escape("4 left out (empty.mp3: ")):
        tell(read)


def test_a_folder_without_sound_is_refused_with_what_is_looked_for(tmp_path):
    """An empty folder is a mistyped one."""
    folder = tmp_path / "voice"
    missing = f"`speech` must be a folder of sound files, got {str(folder)!r}"
    with pytest.raises(InputError, match=re.escape(missing)):
        read_speech(folder)
    folder.mkdir()
    message = (
        f"{folder}: must hold sound files (.wav, .flac, .m4a, .mp3, .ogg and others, or videos "
        "with sound), got none"
    )
    with pytest.raises(InputError, match=re.escape(message) + "$"):
        read_speech(folder)
    np.save(folder / "a.npy", np.zeros((30, 52), dtype=np.float32))
    with pytest.raises(InputError, match=re.escape(f"{message} beside 1 files of motion")):
        read_speech(folder)
    (folder / "a.wav").write_text("no sound")
    with pytest.raises(
        InputError, match=re.escape("must hold a usable recording, got none (a.wav")
    ):
        read_speech(folder)


def test_a_sound_counts_once(write, tmp_path):
    """Learnt from under one name and measured under another, it would be known by heart."""
    for name in ("a.wav", "copy.wav", "b.wav", "b.flac"):
        write(name, seed=name.startswith("b"))
    read = read_speech(tmp_path / "voice")
    assert [clip.file for clip in read.clips] == ["a.wav", "b.wav"]
    assert [str(fault) for fault in read.left_out] == [
        "b.flac: stands beside b.wav, which is read",
        "copy: is the same sound as a",
    ]


def test_a_long_file_is_cut_at_pauses(write, tmp_path):
    """A voice changes its emotion over minutes, and some of them are kept to measure."""
    path = write("talk.wav", seconds=65)
    (*clips,) = read_speech(tmp_path / "voice").clips
    assert [clip.name for clip in clips][:2] == ["talk-part000", "talk-part001"]
    lengths = np.array([len(clip.audio) for clip in clips])
    assert lengths.sum() == len(soundfile.read(path)[0])
    assert (lengths >= 10 * RATE_HZ).all() and (lengths <= 30.1 * RATE_HZ).all()
    assert [clip.begin for clip in clips] == [0, *np.cumsum(lengths)[:-1].tolist()]


def test_whole_files_are_held_out_where_there_are_enough():
    """Parts of one file sound alike: measured beside the others, nothing would be unseen."""
    clips = clips_of(*"abcdefghij", parts=2)
    train, test = held_out(clips, share=0.2)
    assert {clip.file for clip in test} == {"c.wav", "h.wav"}
    assert len(test) == 4 and len(train) == 16
    assert not {clip.name for clip in train} & {clip.name for clip in test}


def test_parts_are_held_out_of_few_files():
    """A single long recording is what most users have."""
    train, test = held_out(clips_of("talk", parts=5), share=0.2)
    assert [clip.name for clip in test] == ["talk-2"] and len(train) == 4
    train, test = held_out(clips_of("a", "b"), share=0.9)
    assert len(train) == len(test) == 1, "one at least is learnt from"
    message = "`speech` must hold at least two recordings, one of which is kept to measure"
    with pytest.raises(InputError, match=re.escape(message)):
        held_out(clips_of("a"), share=0.2)


def test_what_is_learnt_from_is_not_measured(write, tmp_path):
    """A test folder that overlaps would show a gain that is no gain."""
    write("a.wav", seed=1)
    write("b.wav", seed=2)
    write("other.wav", seed=2, folder="test")
    read = read_speech(tmp_path / "voice")
    message = "`speech_test` must hold recordings that are not learnt from, got "
    with pytest.raises(InputError, match=re.escape(message)):
        without(read.clips, read_speech(tmp_path / "test", option="speech_test"))
    write("new.wav", seed=3, folder="test")
    kept = without(read.clips, read_speech(tmp_path / "test", option="speech_test"))
    assert [clip.name for clip in kept.clips] == ["new"]
    assert [str(f) for f in kept.left_out] == ["other: is learnt from, too, and not measured"]

"""Clocks of motion: where it starts and how long its seconds are, checked against its sound."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, Utterance
from esarm_env.corpus import open_corpus
from esarm_env.corpus.clocks import (
    Clock,
    Counted,
    Readings,
    settle_start,
    stated_stretch,
    whole_rate,
)
from esarm_env.corpus.folder import FolderCorpus
from esarm_env.corpus.layouts import find_takes
from esarm_env.face import ARKIT_NAMES
from train.cli import main

RATE_HZ = 16_000
RAMP_S = 128.0  # after which motion of `ramp_at` is 1
Speech = Callable[..., np.ndarray]


def ramp_at(times: np.ndarray) -> np.ndarray:
    """Return motion (T, 52) that tells the time in the sound at which it was."""
    return np.tile(0.1 + times[:, None] / RAMP_S, (1, N_CHANNELS))


def told_s(motion: np.ndarray) -> np.ndarray:
    return (motion[:, 0] - 0.1) * RAMP_S


def write_table(path: Path, column: str, cells: list[str], motion: np.ndarray) -> None:
    """Write a table whose first column is `column`; a recording if it is `Timecode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = ["BlendShapeCount"] if column == "Timecode" else []
    rows = [",".join([column, *count, *ARKIT_NAMES])]
    for cell, row in zip(cells, motion, strict=True):
        rows.append(",".join([cell, *(["61"] if count else []), *(f"{v:.6f}" for v in row)]))
    path.write_text("\n".join(rows) + "\n")


def write_sound(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ)


def timed_take(root: Path, speech: Speech, *, first_s: float, motion_s: float, audio_s: float,
               true_first_s: float) -> None:  # fmt: skip
    """Write a take whose table begins at `first_s`, and in truth at `true_first_s`."""
    times = np.arange(round(motion_s * 30)) / 30
    cells = [f"{first_s + time:.6f}" for time in times]
    write_table(root / "blendshape" / "a.csv", "time_s", cells, ramp_at(true_first_s + times))
    write_sound(root / "audio" / "a.wav", speech(audio_s))


@pytest.fixture
def only(tmp_path: Path) -> Callable[..., Utterance]:
    """Return the function that opens the corpus in `tmp_path` and reads its only utterance."""

    def read(**options: float) -> Utterance:
        corpus = FolderCorpus(tmp_path, verify=True, **options)  # type: ignore[arg-type]
        assert len(corpus) == 1 and corpus.faults == ()
        return corpus[0]

    return read


# --- where motion starts ------------------------------------------------------------------------


@pytest.mark.parametrize("early_s", [0.28, 1.48, 2.5])
def test_a_capture_that_begins_before_its_sound_keeps_its_time(
    tmp_path: Path, speech: Speech, only: Callable[..., Utterance], early_s: float
) -> None:
    """The sound of a screen recorder comes late: taken off, the start moves the face as much."""
    timed_take(tmp_path, speech, first_s=-early_s, motion_s=6.0, audio_s=6.0,
               true_first_s=-early_s)  # fmt: skip
    read = only()
    assert len(read.motion) == round((6.0 - early_s) * 30)
    expected = np.arange(len(read.motion)) / 30
    np.testing.assert_allclose(told_s(read.motion)[:-1], expected[:-1], atol=5e-3)


def test_motion_that_ends_with_its_sound_began_where_it_says(
    tmp_path: Path, speech: Speech
) -> None:
    """1.5 s late and 1.5 s shorter is no clock; a face is missing for that time, and it is told."""
    timed_take(tmp_path, speech, first_s=1.5, motion_s=4.5, audio_s=6.0, true_first_s=1.5)
    with pytest.raises(InputError, match=re.escape("got none from 0.00 to 1.50 s")):
        FolderCorpus(tmp_path, verify=True)


@pytest.mark.parametrize("first_s", [1.5, 59.0, 1.7e9])
def test_motion_as_long_as_its_sound_has_a_clock_of_its_own(
    tmp_path: Path, speech: Speech, only: Callable[..., Utterance], first_s: float
) -> None:
    """Seconds since the program started, or since 1970."""
    timed_take(tmp_path, speech, first_s=first_s, motion_s=6.0, audio_s=6.0, true_first_s=0.0)
    read = only()
    np.testing.assert_allclose(told_s(read.motion), np.arange(180) / 30, atol=5e-3)


@pytest.mark.parametrize(
    ("start_s", "motion_s", "audio_s", "late_s", "shift_s"),
    [
        (0.0, 4.0, 4.0, 0.0, 0.0),
        (0.0, 4.0, 3.7, 0.3, 0.3),
        (0.0, 4.0, 4.3, -0.3, -0.3),
        (-0.3, 4.0, 3.7, 0.3, 0.0),
        (0.0, 4.0, 4.0, 0.01, 0.0),
        (-1.5, 4.0, 4.0, 0.0, 0.0),
        (1.5, 4.0, 5.5, 0.0, 0.0),
        (1.5, 4.0, 4.0, 0.0, 1.5),
    ],
)
def test_the_start_is_settled_by_sound_and_picture(
    start_s: float, motion_s: float, audio_s: float, late_s: float, shift_s: float
) -> None:
    """What is taken off in one case is the truth in the next."""
    found, notes = settle_start(start_s, motion_s=motion_s, audio_s=audio_s, late_s=late_s)
    assert found == pytest.approx(shift_s)
    assert bool(notes) == (shift_s == late_s != 0)


def late_video(path: Path, sound: np.ndarray, *, late_s: float, seconds: float) -> None:
    """Write a video of `seconds` at 30 fps whose sound starts `late_s` after its picture."""
    av = pytest.importorskip("av", reason="videos need the extra `video`")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=30)
        pictures.width = pictures.height = 32
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for number in range(round(seconds * 30)):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 30)
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode())
        for begin in range(0, len(sound), 1600):
            data = (sound[None, begin : begin + 1600] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
            frame.pts = begin + round(late_s * RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("kind", [".csv", ".npy"])
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_the_start_of_the_sound_in_its_video_is_heeded(
    tmp_path: Path, speech: Speech, only: Callable[..., Utterance], suffix: str, kind: str
) -> None:
    """Curves start with the picture; put at the first sample, they were late by the difference."""
    late_s, times = 0.3, np.arange(150) / 30
    late_video(tmp_path / f"take{suffix}", speech(5.0 - late_s), late_s=late_s, seconds=5.0)
    motion = ramp_at(times - late_s)
    if kind == ".npy":
        np.save(tmp_path / "take.npy", motion)
    else:
        codes = [f"10:00:{n // 30:02}:{n % 30:02}.000" for n in range(150)]
        write_table(tmp_path / "take.csv", "Timecode", codes, motion)
    read = only()
    np.testing.assert_allclose(told_s(read.motion)[:-3], np.arange(138) / 30, atol=5e-3)
    (note,) = FolderCorpus(tmp_path).notes
    assert "the video's sound starts 0.30 s after it" in note.reason


def test_our_own_captures_of_such_a_video_stay_where_they_are(
    tmp_path: Path, speech: Speech, only: Callable[..., Utterance]
) -> None:
    """They count from the sound already: moved again, they would be early."""
    times = np.arange(150) / 30 - 0.3
    late_video(tmp_path / "take.mov", speech(4.7), late_s=0.3, seconds=5.0)
    write_table(tmp_path / "take.csv", "time_s", [f"{t:.6f}" for t in times], ramp_at(times))
    read = only()
    np.testing.assert_allclose(told_s(read.motion)[:-3], np.arange(138) / 30, atol=5e-3)


# --- how long its seconds are -------------------------------------------------------------------


def counted_take(root: Path, speech: Speech, *, rate: int, seconds: float, per_s: float) -> None:
    """Write a recording with labels of `rate`, of which `per_s` pass in a second in truth."""
    n_frames = round(seconds * per_s)
    codes = [
        f"10:{n // rate // 60:02}:{n // rate % 60:02}:{n % rate:02}.000" for n in range(n_frames)
    ]
    write_table(root / "a.csv", "Timecode", codes, ramp_at(np.arange(n_frames) / per_s))
    write_sound(root / "a.wav", speech(seconds))


@pytest.mark.parametrize("rate", [30, 60])
def test_labels_that_last_longer_than_they_say_are_told_by_the_sound(
    tmp_path: Path, speech: Speech, rate: int
) -> None:
    """59.94 counted as 60 runs away from its sound by a frame and a half in 50 s."""
    counted_take(tmp_path, speech, rate=rate, seconds=50.05, per_s=rate / 1.001)
    corpus = FolderCorpus(tmp_path, verify=True)
    motion = corpus.read_take(0).motion
    frames = np.arange(30, len(motion) - 30)
    np.testing.assert_allclose(told_s(motion)[frames], frames / 30, atol=5e-3)
    assert f"read at {rate / 1.001:.2f} fps, as long as the sound" in corpus.notes[0].reason


def test_true_labels_beside_sound_of_nearly_their_length_are_believed(
    tmp_path: Path, speech: Speech
) -> None:
    """Two frames of sound at the end are no reason to stretch fifty seconds."""
    counted_take(tmp_path, speech, rate=30, seconds=50.0, per_s=30)
    write_sound(tmp_path / "a.wav", speech(50.0 + 2.8 / 30))
    corpus = FolderCorpus(tmp_path, verify=True)
    motion = corpus.read_take(0).motion
    np.testing.assert_allclose(told_s(motion), np.arange(len(motion)) / 30, atol=1e-3)
    assert [note.reason for note in corpus.notes] == ["audio trimmed by 3 frames"]


@pytest.mark.parametrize(
    ("takes", "slow"),
    [
        ([(60.0, 50.0, 50.05)], {60.0}),
        ([(60.0, 50.0, 50.0)], set()),
        ([(60.0, 20.0, 20.02)], set()),
        ([(60.0, 50.0, 50.05), (60.0, 90.0, 90.0), (60.0, 80.0, 80.0)], set()),
        ([(60.0, 50.0, 50.05), (60.0, 90.0, 90.09), (30.0, 80.0, 80.0)], {60.0}),
        ([(None, 50.0, 50.05)], set()),
        ([], set()),
    ],
)
def test_long_takes_decide_together(
    takes: list[tuple[float | None, float, float]], slow: set[float]
) -> None:
    """One take may be cut by chance; short ones cannot tell."""
    counted = [Counted(nominal_hz, True, *extents) for nominal_hz, *extents in takes]
    assert {nominal_hz for nominal_hz, _ in Readings.of(counted).slow} == slow


def test_sound_that_is_always_longer_is_no_clock() -> None:
    """As much in long takes as in short ones: a recorder that is stopped a moment later."""
    takes = [Counted(30.0, True, each, each + 0.045) for each in (35.0, 60.0, 90.0, 120.0)]
    readings = Readings.of(takes)
    assert not readings.slow and not readings.unsure


@pytest.mark.parametrize("column", ["frame", "time_s", "Timecode"])
@pytest.mark.parametrize("rate", [60, 120])
def test_half_a_minute_of_fine_frames_tells_their_rate(
    tmp_path: Path, speech: Speech, column: str, rate: int
) -> None:
    """Read as 60, a table of 59.94 that only numbers its frames ran 0.03 s ahead."""
    n_frames = round(30 * rate / 1.001)
    numbers = range(n_frames)
    cells = {
        "frame": [str(n) for n in numbers],
        "time_s": [f"{n / rate:.9f}" for n in numbers],
        "Timecode": [f"10:00:{n // rate:02}:{n % rate:02}.000" for n in numbers],
    }[column]
    folder = tmp_path if column == "Timecode" else tmp_path / "blendshape"
    write_table(folder / "a.csv", column, cells, ramp_at(np.arange(n_frames) * 1.001 / rate))
    folder = tmp_path if column == "Timecode" else tmp_path / "audio"
    write_sound(folder / "a.wav", speech(30.0))
    corpus = FolderCorpus(tmp_path, verify=True)
    motion = corpus.read_take(0).motion
    frames = np.arange(30, len(motion) - 30)
    np.testing.assert_allclose(told_s(motion)[frames], frames / 30, atol=5e-3)
    (note,) = corpus.notes
    assert note.reason == (
        f"frames counted {rate} a second read at {rate / 1.001:.2f} fps, as long as the sound; if "
        f"{rate} is right, state `--rate {rate}`, or a column `rate` in metadata.csv"
    )


def test_a_rate_that_the_sound_does_not_settle_is_asked_for(tmp_path: Path, speech: Speech) -> None:
    """23.976 counted as 24, beside sound of 20 ms more: "audio trimmed by 2 frames" told nobody."""
    counted_take(tmp_path, speech, rate=24, seconds=50.05, per_s=24 / 1.001)
    write_sound(tmp_path / "a.wav", speech(50.075))
    for _ in range(2):  # from the files, and from the index
        first, second = FolderCorpus(tmp_path, verify=True).notes
        assert first.reason == (
            "read at 24 fps, which its sound does not settle: most takes end 0.075 s beside it at "
            "24 fps, 0.025 s at 23.976 fps; state `--rate 24` or `--rate 23.976`, or a column "
            "`rate` in metadata.csv"
        )
        assert second.reason == "audio trimmed by 2 frames"
    for rate_hz, per_s in ((24.0, 24.0), (23.976, 23.976)):
        corpus = FolderCorpus(tmp_path, verify=True, rate_hz=rate_hz)
        assert not any("settle" in note.reason for note in corpus.notes)
        motion = corpus.read_take(0).motion
        frames = np.arange(30, len(motion) - 30)
        stretched = frames / 30 * per_s * 1.001 / 24
        np.testing.assert_allclose(told_s(motion)[frames], stretched, atol=5e-3)


def test_motion_that_starts_beside_its_sound_is_held_against_its_end(
    tmp_path: Path, speech: Speech
) -> None:
    """A start of 0.2 s was reason enough to ask no sound about the rate."""
    times = np.arange(round(50 * 60 / 1.001))
    cells = [f"{0.2 + n / 60:.9f}" for n in times]
    write_table(
        tmp_path / "blendshape" / "a.csv", "time_s", cells, ramp_at(0.2 + times * 1.001 / 60)
    )
    write_sound(tmp_path / "audio" / "a.wav", speech(50.2))
    corpus = FolderCorpus(tmp_path, verify=True)
    assert "read at 59.94 fps, as long as the sound" in corpus.notes[0].reason
    motion = corpus.read_take(0).motion
    frames = np.arange(30, len(motion) - 30)
    np.testing.assert_allclose(told_s(motion)[frames], frames / 30, atol=5e-3)


@pytest.mark.parametrize(
    ("rate_hz", "whole"),
    [(30.0, 30.0), (29.97, 30.0), (24 / 1.001, 24.0), (59.94, 60.0), (25.0, None), (29.5, None),
     (None, None)],
)  # fmt: skip
def test_what_counts_a_whole_rate(rate_hz: float | None, whole: float | None) -> None:
    """25 is a rate of its own: nothing lasts 1.001 s there."""
    assert whole_rate(rate_hz) == whole


# --- what the user states -----------------------------------------------------------------------


def test_a_stated_rate_counts_more_than_the_files(
    tmp_path: Path, speech: Speech, only: Callable[..., Utterance]
) -> None:
    """A header of 30 on 25 fps was refused, and nothing let its owner say so."""
    times = np.arange(100) / 25
    (tmp_path / "blendshape").mkdir()
    np.savez(tmp_path / "blendshape" / "a.npz", values=ramp_at(times), fps=30.0)
    write_sound(tmp_path / "audio" / "a.wav", speech(4.0))
    message = "State it: `--rate 25`, or a column `rate` in metadata.csv"
    with pytest.raises(InputError, match=re.escape(message)):
        FolderCorpus(tmp_path)
    expected = np.arange(120) / 30
    np.testing.assert_allclose(told_s(only(rate_hz=25).motion)[:-2], expected[:-2], atol=5e-3)
    (tmp_path / "metadata.csv").write_text("id,rate\na,25\n")
    np.testing.assert_allclose(told_s(only().motion)[:-2], expected[:-2], atol=5e-3)
    np.testing.assert_allclose(told_s(only(rate_hz=60).motion)[:-2], expected[:-2], atol=5e-3)
    (tmp_path / "metadata.csv").write_text("id,rate\na,30\n")
    with pytest.raises(InputError, match="must last as long as its audio"):
        FolderCorpus(tmp_path)


def test_a_stated_rate_is_that_of_files_that_state_none(
    tmp_path: Path, speech: Speech, only: Callable[..., Utterance]
) -> None:
    """Inferred from one short take it may be either of two."""
    (tmp_path / "blendshape").mkdir()
    np.save(tmp_path / "blendshape" / "a.npy", ramp_at(np.arange(60) / 24))
    write_sound(tmp_path / "audio" / "a.wav", speech(2.5))
    np.testing.assert_allclose(told_s(only(rate_hz=24).motion)[:-2], np.arange(73) / 30, atol=5e-3)


@pytest.mark.parametrize(
    ("cell", "rate_hz"),
    [("59.94", 59.94), ("60000/1001", 60_000 / 1001), ("29,97", 29.97), (" 25 ", 25.0)],
)
def test_a_rate_may_be_a_number_or_a_fraction(three_takes: Path, cell: str, rate_hz: float) -> None:
    """As programs write it, and spreadsheets where the decimal sign is a comma."""
    (three_takes / "metadata.csv").write_text(f'id,rate\nanna_1,"{cell}"\n')
    found = [take.rate_hz for take in find_takes(three_takes).takes]
    assert found == [pytest.approx(rate_hz), None, None]


@pytest.mark.parametrize("cell", ["0", "-25", "1/0", "fast", "nan", "1001"])
def test_a_cell_that_is_no_rate_costs_its_take(three_takes: Path, cell: str) -> None:
    """And says which rule it breaks."""
    (three_takes / "metadata.csv").write_text(f"id,rate\nanna_1,{cell}\n")
    corpus = FolderCorpus(three_takes)
    assert [take.id for take in corpus.takes] == ["anna_2", "ben_1"]
    rule = f"`rate` must be frames a second from 5 to 500, as 59.94 or 60000/1001, got {cell!r}"
    assert any(rule in fault.reason for fault in corpus.faults)


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, 4.9, 501.0, float("nan")])
def test_a_rate_that_cannot_be_is_refused(three_takes: Path, rate_hz: float) -> None:
    """Every motion would be stretched by it."""
    with pytest.raises(InputError, match=re.escape("`rate_hz`: frame rate must be 5 to 500 Hz")):
        FolderCorpus(three_takes, rate_hz=rate_hz)
    with pytest.raises(InputError, match=re.escape("`rate_hz` must be left out for the corpus")):
        open_corpus("synthetic-mini", rate_hz=rate_hz)


def test_the_command_line_takes_a_rate(
    three_takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error that asks for it names it."""
    with pytest.raises(SystemExit) as ended:
        main(["corpus", str(three_takes), "--audit", "--rate", "60"])
    assert ended.value.code == 2
    assert "State it: `--rate 30`" in capsys.readouterr().err
    main(["corpus", str(three_takes), "--audit", "--rate", "30"])
    assert "3 takes" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["corpus", str(three_takes), "--audit", "--rate", "0"])
    assert "`rate` must be 5 to 500 fps, got 0" in capsys.readouterr().err


def test_a_rate_is_that_of_frames_or_of_the_labels_that_count_them() -> None:
    """59.94 states the same for labels of 60 as 29.97 for every second of them."""
    assert stated_stretch(59.94, stated_hz=30.0, nominal_hz=60.0) == pytest.approx(1.001, rel=1e-4)
    assert stated_stretch(29.97, stated_hz=30.0, nominal_hz=60.0) == pytest.approx(1.001, rel=1e-4)
    assert stated_stretch(25.0, stated_hz=30.0, nominal_hz=None) == pytest.approx(1.2)
    times = np.arange(3.0)
    assert Clock().times(times) is times
    np.testing.assert_allclose(Clock(2.0, 0.5).times(times), [-0.5, 1.5, 3.5])

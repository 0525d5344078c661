"""Live Link Face recordings: what leaves for Unreal or Blender must come back the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import index_of, read_livelink_csv, write_livelink_csv
from esarm_env.face.livelink import read_recording


@pytest.fixture
def motion() -> np.ndarray:
    """Return 70 frames, so that seconds roll over, each number its own."""
    return np.random.default_rng(1).random((70, 52), dtype=np.float32)


@pytest.fixture
def recording(tmp_path: Path, motion: np.ndarray) -> Path:
    path = tmp_path / "take.csv"
    write_livelink_csv(path, motion[:3])
    return path


def test_thirty_fps_round_trips(tmp_path: Path, motion: np.ndarray) -> None:
    """Six decimals are finer than any rig."""
    write_livelink_csv(tmp_path / "take.csv", motion)
    back, rate_hz = read_livelink_csv(tmp_path / "take.csv")
    assert rate_hz == 30
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, motion, atol=1e-6)


def test_sixty_fps_keeps_our_frames_and_adds_the_middles(
    tmp_path: Path, motion: np.ndarray
) -> None:
    """A file labelled 60 with 30 fps content plays at double speed."""
    write_livelink_csv(tmp_path / "take.csv", motion, rate_hz=60)
    back, rate_hz = read_livelink_csv(tmp_path / "take.csv")
    assert rate_hz == 60
    assert back.shape == (139, 52)
    np.testing.assert_allclose(back[::2], motion, atol=1e-6)
    np.testing.assert_allclose(back[1::2], (motion[1:] + motion[:-1]) / 2, atol=1e-6)


def test_the_header_is_the_apps(recording: Path) -> None:
    """Importers that go by position expect right before left in these two places."""
    header = recording.read_text().splitlines()[0].split(",")
    assert len(header) == 63
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert header.index("JawRight") + 1 == header.index("JawLeft")
    assert header.index("MouthRight") + 1 == header.index("MouthLeft")
    assert header[53] == "TongueOut"
    assert header[54:58] == ["HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw"]
    assert header[-1] == "RightEyeRoll"


def test_each_value_stands_under_its_name(tmp_path: Path) -> None:
    """Left and right of the jaw exchanged would survive a round trip."""
    motion = np.zeros((1, 52), np.float32)
    motion[0, index_of("jawLeft")] = 0.25
    write_livelink_csv(tmp_path / "take.csv", motion)
    header, row = (line.split(",") for line in (tmp_path / "take.csv").read_text().splitlines())
    assert len(row) == 63
    assert row[1] == "61"
    assert {name: cell for name, cell in zip(header, row, strict=True) if "0.25" in cell} == {
        "JawLeft": "0.250000"
    }


def test_timecodes_count_from_the_start_and_roll_over(tmp_path: Path, motion: np.ndarray) -> None:
    """The timecode is what lines the face up with the sound."""
    path = tmp_path / "take.csv"
    write_livelink_csv(path, motion[:3], start_timecode="09:59:59:28.125")
    codes = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
    assert codes == ["09:59:59:28.125", "09:59:59:29.125", "10:00:00:00.125"]
    write_livelink_csv(path, motion[:2], rate_hz=60, start_timecode="23:59:59:58.000")
    codes = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
    assert codes == ["23:59:59:58.000", "23:59:59:59.000", "00:00:00:00.000"]


def test_values_are_clipped(tmp_path: Path) -> None:
    """Weights outside [0, 1] turn some rigs inside out."""
    write_livelink_csv(tmp_path / "take.csv", np.array([[-0.5, 1.5] * 26]))
    back, _ = read_livelink_csv(tmp_path / "take.csv")
    assert back[0, :2].tolist() == [0.0, 1.0]


def test_columns_are_matched_by_name(recording: Path, motion: np.ndarray) -> None:
    """Other tools write other orders and leave the rotations out."""
    rows = [line.split(",") for line in recording.read_text().splitlines()]
    shuffled = [row[:2] + row[2:54][::-1] for row in rows]
    recording.write_text("\r\n".join(",".join(row) for row in shuffled) + "\r\n")
    back, _ = read_livelink_csv(recording)
    np.testing.assert_allclose(back, motion[:3], atol=1e-6)


def test_dropped_frames_are_filled(recording: Path, motion: np.ndarray) -> None:
    """The app drops frames; without filling, the rest of the take runs ahead of the sound."""
    lines = recording.read_text().splitlines()
    recording.write_text("\n".join([lines[0], lines[1], lines[3]]))
    back, _ = read_livelink_csv(recording)
    np.testing.assert_allclose(back[1], (motion[0] + motion[2]) / 2, atol=1e-6)


def test_the_rate_of_a_short_take_can_be_given(tmp_path: Path, motion: np.ndarray) -> None:
    """Half a second of timecodes looks the same at both rates."""
    write_livelink_csv(tmp_path / "take.csv", motion[:3], rate_hz=60)
    assert read_livelink_csv(tmp_path / "take.csv")[1] == 30
    assert read_livelink_csv(tmp_path / "take.csv", rate_hz=60)[1] == 60


def test_nothing_but_the_file_is_left_behind(recording: Path, motion: np.ndarray) -> None:
    """A second write replaces the first at once, and its temporary file is gone."""
    write_livelink_csv(recording, motion[:1])
    assert [path.name for path in recording.parent.iterdir()] == ["take.csv"]
    assert len(recording.read_text().splitlines()) == 2


def _with_timecodes(recording: Path, timecodes: list[str]) -> None:
    """Write a recording with these timecodes, its values those of the first row."""
    header, row = recording.read_text().splitlines()[:2]
    rest = row.split(",", 1)[1]
    recording.write_text("\n".join([header, *(f"{code},{rest}" for code in timecodes)]) + "\n")


@pytest.mark.parametrize("base", [24, 25, 30, 50, 60])
def test_the_rate_is_told_by_what_the_timecodes_count(recording: Path, base: int) -> None:
    """A 25 fps take read at 30 has five frames a second that nobody recorded."""
    codes = [f"00:00:{n // base:02}:{n % base:02}.000" for n in range(3 * base) if n % 7]
    _with_timecodes(recording, codes)
    motion, rate_hz = read_livelink_csv(recording)
    assert rate_hz == base
    assert len(motion) == 3 * base - 1


def test_a_phone_that_records_30_frames_counts_in_60ths(recording: Path) -> None:
    """The app writes :47.169, :49.169, :51.168: every other number is no dropped frame."""
    codes = [f"12:27:{47 + n // 30}:{2 * (n % 30) + 1:02}.169" for n in range(60)]
    _with_timecodes(recording, codes)
    motion, rate_hz = read_livelink_csv(recording)
    assert rate_hz == 60
    assert len(motion) == 119


def test_a_take_may_run_past_midnight(recording: Path) -> None:
    """What the writer wraps the reader must unwrap."""
    _with_timecodes(recording, ["23:59:59:28", "23:59:59:29", "00:00:00:00", "00:00:00:01"])
    assert len(read_livelink_csv(recording)[0]) == 4


def test_rows_of_one_timecode_count_once(recording: Path) -> None:
    """The app repeats a frame when the camera has no new one."""
    _with_timecodes(recording, ["00:00:00:00", "00:00:00:01", "00:00:00:01", "00:00:00:02"])
    note = "frames left out for a repeated time: 1"
    with pytest.warns(RuntimeWarning, match=re.escape(f"{recording}: {note}")):
        assert len(read_livelink_csv(recording)[0]) == 3
    found = read_recording(recording)
    assert found.lines.tolist() == [2, 3, 5]
    assert found.notes == (note,)


@pytest.mark.parametrize("lost", ["0", "0,", "0" + "," * 61, "0" + ",0.0000000000" * 61])
def test_rows_without_a_face_are_filled(recording: Path, motion: np.ndarray, lost: str) -> None:
    """Zeros in such a row are a face that jumps to rest and back."""
    lines = recording.read_text().splitlines()
    lines[2] = f"00:00:00:01.000,{lost}"
    recording.write_text("\n".join(lines))
    back, _ = read_livelink_csv(recording)
    np.testing.assert_allclose(back[1], (motion[0] + motion[2]) / 2, atol=1e-6)
    raw = read_recording(recording)
    assert raw.seen.tolist() == [True, False, True]
    assert np.isnan(raw.values[1]).all()


def test_a_take_may_start_without_a_face(recording: Path, motion: np.ndarray) -> None:
    """Rows dropped at the start would move the whole take against its sound."""
    lines = recording.read_text().splitlines()
    lines[1] = "00:00:00:00.000,0"
    recording.write_text("\n".join(lines))
    back, _ = read_livelink_csv(recording)
    np.testing.assert_allclose(back, motion[[1, 1, 2]], atol=1e-6)


def test_a_resting_face_that_was_seen_stays(recording: Path) -> None:
    """Other writers put 0 into the count of every row; only empty rows are lost ones."""
    text = recording.read_text().replace(",61,", ",0,")
    recording.write_text(text)
    assert read_recording(recording).seen.all()


def test_a_recording_may_lack_columns_if_told_so(recording: Path, motion: np.ndarray) -> None:
    """Trackers without a tongue write the same format with 51 shapes."""
    rows = [line.split(",") for line in recording.read_text().splitlines()]
    recording.write_text("\n".join(",".join(row[:53]) for row in rows))
    raw = read_recording(recording)
    assert np.flatnonzero(~raw.captured).tolist() == [51]
    np.testing.assert_allclose(raw.values[:, :51], motion[:3, :51], atol=1e-6)


def test_quoted_cells_are_read(recording: Path, motion: np.ndarray) -> None:
    """Spreadsheets put quotes around every cell."""
    lines = recording.read_text().splitlines()
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    recording.write_text("\n".join(quoted))
    np.testing.assert_allclose(read_livelink_csv(recording)[0], motion[:3], atol=1e-6)


@pytest.mark.parametrize("place", ["missing/take.csv", "file/take.csv", "folder"])
def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path, place: str) -> None:
    """A traceback of the operating system does not name the option to change."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    message = f"{tmp_path / place}: must be a file in a writable folder, got "
    with pytest.raises(InputError, match=re.escape(message)):
        write_livelink_csv(tmp_path / place, np.zeros((1, 52)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((2, 51)), {}, "`motion` must have shape (T, 52) with T at least 1, got (2, 51)"),
        (np.zeros((0, 52)), {}, "`motion` must have shape (T, 52) with T at least 1, got (0, 52)"),
        (np.full((1, 52), np.nan), {}, "`motion` must be finite, got nan or infinity"),
        (np.zeros((1, 52)), {"rate_hz": 25}, "`rate_hz` must be one of (30, 60), got 25"),
        (
            np.zeros((1, 52)),
            {"start_timecode": "00:00:00:30.000"},
            "`start_timecode` must be HH:MM:SS:FF.mmm with FF below 30, got '00:00:00:30.000'",
        ),
        (np.zeros((1, 52)), {"start_timecode": "noon"}, "FF below 30, got 'noon'"),
        (np.zeros((1, 52)), {"start_timecode": "00:60:00:00"}, "FF below 30, got '00:60:00:00'"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, values: np.ndarray, options: dict[str, Any], message: str
) -> None:
    """Better no file than one that no engine plays."""
    with pytest.raises(InputError, match=re.escape(message)):
        write_livelink_csv(tmp_path / "take.csv", values, **options)
    assert not list(tmp_path.iterdir())


def test_the_header_may_be_spelt_with_a_small_s(tmp_path: Path) -> None:
    """Versions of the app and of its readers differ; all takes of a folder were refused for it."""
    path = tmp_path / "take.csv"
    write_livelink_csv(path, np.full((4, 52), 0.25, np.float32))
    path.write_text(path.read_text().replace("BlendShapeCount", "BlendshapeCount"))
    motion, _ = read_livelink_csv(path)
    np.testing.assert_allclose(motion, 0.25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Timecode,", "Time,", "a header that starts with 'Time,BlendShapeCount' in line 1"),
        ("JawOpen", "JawAjar", "unknown: JawAjar; missing: jawOpen) in line 1"),
        ("JawOpen", "JawLeft", "double: JawLeft; missing: jawOpen) in line 1"),
        ("\n00:00:00:02.000", "\n00:00:00:00", "a jump in time to '00:00:00:00' in line 4"),
        ("\n00:00:00:02.000", "\n01:00:00:00", "a gap of more than 2 s in line 4"),
    ],
)
def test_a_faulty_recording_is_told_by_file_and_line(
    recording: Path, old: str, new: str, message: str
) -> None:
    """An hour's take has 200,000 rows."""
    text = recording.read_text()
    assert old in text
    recording.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message.format(recording))):
        read_livelink_csv(recording)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("\n00:00:00:01.000,61,", "\n00:00:00:01.000,", "62 columns instead of 63 in line 3"),
        ("\n00:00:00:01.000", "\n00:00:61:01", "the timecode '00:00:61:01' in line 3"),
        ("\n00:00:00:01.000,61,0.", "\n00:00:00:01.000,61,x", "not a number ('x"),
        ("\n00:00:00:01.000,61", "\n:,61", "the timecode ':' in line 3"),
        ("\n00:00:00:01.000,61,0.", "\n00:00:00:01.000,61,nan,0.", "64 columns instead of 63"),
    ],
)
def test_one_faulty_row_costs_itself_and_is_told(
    recording: Path, motion: np.ndarray, old: str, new: str, fault: str
) -> None:
    """One line of an hour's recording cost the hour; a guess in its place must not be silent."""
    text = recording.read_text()
    assert old in text
    recording.write_text(text.replace(old, new, 1))
    with pytest.warns(RuntimeWarning, match=re.escape(fault)):
        back, _ = read_livelink_csv(recording)
    np.testing.assert_allclose(back[[0, 2]], motion[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(back[1], (motion[0] + motion[2]) / 2, atol=1e-6)
    recording.write_text("\n".join(text.replace(old, new, 1).splitlines()[:3]))
    with pytest.raises(InputError, match=re.escape(fault)):
        read_livelink_csv(recording)


def test_columns_that_are_no_shapes_are_told_and_left_out(
    recording: Path, motion: np.ndarray
) -> None:
    """Players add emotions, pandas an index, and a comma at the end of a line an empty column."""
    header, *rows = recording.read_text().splitlines()
    lines = [f",{header},Angry,", *(f"{i},{row},high," for i, row in enumerate(rows))]
    recording.write_text("\n".join(lines))
    note = f"{recording}: columns that are no shapes left out: Angry"
    with pytest.warns(RuntimeWarning, match=re.escape(note)):
        back, rate_hz = read_livelink_csv(recording)
    assert rate_hz == 30
    np.testing.assert_allclose(back, motion[:3], atol=1e-6)


def test_a_value_that_is_not_finite_is_refused(recording: Path) -> None:
    """`nan` is a number to Python, and spreads through every layer of a network."""
    text = recording.read_text().splitlines()
    cells = text[2].split(",")
    recording.write_text("\n".join([*text[:2], ",".join([*cells[:5], "nan", *cells[6:]])]))
    message = f"{recording}: must be a Live Link Face recording, got a value that is not finite"
    with pytest.raises(InputError, match=re.escape(message)):
        read_livelink_csv(recording)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got no row of values in line 0"),
        (b"Timecode,BlendShapeCount\n", "got no row of values in line 1"),
        (b"\xff\xfe\x00\xd8", "{}: must be CSV text in UTF-8, or in UTF-16 with its mark, got"),
        (None, "{}: must be a readable file, got No such file or directory"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """The wrong file picked is the commonest mistake of all."""
    path = tmp_path / "take.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message.format(path))):
        read_livelink_csv(path)


def test_a_recording_without_any_face_is_refused(recording: Path) -> None:
    """Nothing can be filled in from nothing."""
    header = recording.read_text().splitlines()[0]
    recording.write_text(f"{header}\n00:00:00:00.000,0\n00:00:00:01.000,0\n")
    with pytest.raises(InputError, match=re.escape("got no face up to the last row in line 3")):
        read_livelink_csv(recording)


def test_reading_at_another_rate_is_refused(recording: Path) -> None:
    """No timecode counts 23 frames; the wrong rate reads every second as a gap."""
    message = "`rate_hz` must be one of (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120,"
    with pytest.raises(InputError, match=re.escape(message)):
        read_livelink_csv(recording, rate_hz=23)

"""Motion files: the same motion must come out of every format, and no damaged file may pass."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion import (
    MOTION_SUFFIXES,
    Extent,
    MotionTrack,
    at_frame_rate,
    check_values,
    fill_gaps,
    measure_track,
    read_track,
)
from esarm_env.face import ARKIT_NAMES, ORDERS, convert, write_livelink_csv

_N = 40


@pytest.fixture
def motion() -> np.ndarray:
    """Return 40 frames, each number its own."""
    return np.random.default_rng(2).random((_N, 52), dtype=np.float32)


def _beat(motion: np.ndarray, *, rate_hz: float = 60.0) -> dict[str, Any]:
    """Return motion in BEAT's form: 51 shapes, `tongueOut` missing."""
    frames = [
        {"weights": row[:51].tolist(), "time": i / rate_hz, "rotation": []}
        for i, row in enumerate(motion)
    ]
    return {"names": list(ORDERS["beat"]), "frames": frames}


def _lam(motion: np.ndarray) -> dict[str, Any]:
    """Return motion in LAM's form."""
    frames = [
        {"weights": row.tolist(), "time": i / 30, "rotation": []} for i, row in enumerate(motion)
    ]
    metadata = {"fps": 30.0, "frame_count": _N, "blendshape_names": list(ARKIT_NAMES)}
    return {"names": list(ARKIT_NAMES), "metadata": metadata, "frames": frames}


def _audio2face(motion: np.ndarray) -> dict[str, Any]:
    """Return motion in Audio2Face's form, with shapes of the tongue that ARKit has not."""
    rows = convert(motion, source="alphabetical", target="unreal")
    rows = np.concatenate([rows, np.full((_N, 1), 0.5)], axis=1)
    names = [*ORDERS["unreal"], "tongueTipUp"]
    return {"exportFps": 60.0, "numPoses": 53, "facsNames": names, "weightMat": rows.tolist()}


def _table(header: list[str], columns: list[np.ndarray]) -> str:
    """Return a CSV file."""
    rows = np.column_stack(columns)
    return (
        "\n".join([",".join(header), *(",".join(f"{v:.9g}" for v in row) for row in rows)]) + "\n"
    )


def _write(path: Path, motion: np.ndarray, kind: str) -> Path:
    """Write motion in one of the formats."""
    time_s = np.arange(_N) / 60
    if kind == "npy":
        np.save(path / "x.npy", motion)
    elif kind == "npy51":
        np.save(path / "x.npy", motion[:, :51].astype(np.float64))
    elif kind == "npz":
        rows = convert(motion, source="alphabetical", target="livelink_csv")
        names = np.array(ORDERS["livelink_csv"])
        np.savez(path / "x.npz", values=rows, names=names, time_s=time_s)
    elif kind == "npz-rate":
        np.savez_compressed(path / "x.npz", motion=motion, fps=60)
    elif kind == "livelink":
        write_livelink_csv(path / "x.csv", motion[:20], rate_hz=60)
    elif kind == "capture":
        header = ["time_s", "quality", *ARKIT_NAMES]
        columns = [time_s, np.ones(_N), motion]
        (path / "x.csv").write_text(_table(header, columns))
    elif kind == "mediapipe":
        header = ["frame", *ORDERS["mediapipe"]]
        rows = convert(motion, source="alphabetical", target="mediapipe")
        (path / "x.csv").write_text(_table(header, [np.arange(_N), rows]))
    else:
        form = {"beat": _beat, "lam": _lam, "audio2face": _audio2face}[kind]
        (path / "x.json").write_text(json.dumps(form(motion)))
    return next(path.glob("x.*"))


_KINDS = {
    # kind: (rate, captured)
    "npy": (None, 52),
    "npy51": (None, 51),
    "npz": (60.0, 52),
    "npz-rate": (60.0, 52),
    "capture": (60.0, 52),
    "mediapipe": (None, 51),
    "beat": (60.0, 51),
    "lam": (30.0, 52),
    "audio2face": (60.0, 52),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_every_format_gives_the_same_motion(tmp_path: Path, motion: np.ndarray, kind: str) -> None:
    """Formats differ in order, names and columns; a face must not."""
    rate_hz, n_captured = _KINDS[kind]
    track = read_track(_write(tmp_path, motion, kind))
    assert int(track.captured.sum()) == n_captured
    assert track.rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))
    np.testing.assert_allclose(track.values[:, :n_captured], motion[:, :n_captured], atol=1e-6)
    assert not track.values[:, n_captured:].any()


def test_a_live_link_recording_is_read_at_its_own_rate(tmp_path: Path, motion: np.ndarray) -> None:
    """What we export to Unreal must be usable as a corpus."""
    path = tmp_path / "x.csv"
    write_livelink_csv(path, motion, rate_hz=60)
    lines = path.read_text().splitlines()
    timecode = lines[11].split(",")[0]
    lines[11] = f"{timecode},0"
    del lines[21]
    path.write_text("\n".join(lines))
    track = read_track(path)
    assert track.time_s is not None
    assert track.quality is not None
    assert np.flatnonzero(track.lost).tolist() == [10]
    assert np.flatnonzero(track.quality == 0).tolist() == [10]
    even = np.arange(0, 20, 2)[:5]
    np.testing.assert_allclose(track.values[even], motion[even // 2], atol=1e-6)
    np.testing.assert_allclose(track.time_s * 60, np.delete(np.arange(79), 20), atol=1e-6)
    assert measure_track(path).n_frames == 78


@pytest.mark.parametrize("kind", [*_KINDS, "livelink"])
def test_measuring_tells_what_reading_would(tmp_path: Path, motion: np.ndarray, kind: str) -> None:
    """A corpus is planned by the one and filled by the other."""
    path = _write(tmp_path, motion, kind)
    track, extent = read_track(path), measure_track(path)
    assert extent.n_frames == len(track.values)
    assert extent.rate_hz == (None if track.rate_hz is None else pytest.approx(track.rate_hz))


def test_a_capture_with_lost_frames_keeps_their_time(tmp_path: Path, motion: np.ndarray) -> None:
    """A frame without a face is still a frame: leaving it out would shorten the take."""
    header = ["time_s", "quality", *ARKIT_NAMES]
    text = _table(header, [np.arange(4) / 30, np.array([1, 0.25, 1, 1]), motion[:4]])
    lines = text.splitlines()
    lines[3] = lines[3].split(",")[0] + ",0" + "," * 52
    lines[4] = lines[4].split(",")[0] + ",0" + ",nan" * 52
    path = tmp_path / "x.csv"
    path.write_text("\n".join(lines))
    track = read_track(path)
    assert track.lost.tolist() == [False, False, True, True]
    np.testing.assert_allclose(track.quality, [1, 0.25, 0, 0])
    np.testing.assert_allclose(track.time_s, np.arange(4) / 30, atol=1e-6)


@pytest.mark.parametrize(
    ("column", "scale"),
    [("time", 1), ("Timestamp", 1), ("time_ms", 1000), ("timestamp_ms", 1000)],
)
def test_times_are_found_under_their_usual_names(
    tmp_path: Path, motion: np.ndarray, column: str, scale: float
) -> None:
    """Without its times a file at 60 fps would need somebody to tell."""
    path = tmp_path / "x.csv"
    header = ["frame", column, *ORDERS["apple_keys"], "HeadYaw", "head_pitch"]
    times = np.arange(_N) / 50 * scale
    path.write_text(_table(header, [np.arange(_N), times, motion, np.zeros((_N, 2))]))
    assert read_track(path).rate_hz == pytest.approx(50)
    assert measure_track(path).rate_hz == pytest.approx(50)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", np.uint8, np.int64])
def test_any_number_type_is_read(tmp_path: Path, dtype: Any) -> None:
    """Half floats save space, 0 and 1 are integers."""
    values = np.eye(52)[:5].astype(dtype)
    np.save(tmp_path / "x.npy", np.asfortranarray(values))
    track = read_track(tmp_path / "x.npy")
    assert track.values.dtype == np.float32
    np.testing.assert_array_equal(track.values, values)


def test_the_quality_of_an_archive_is_kept(tmp_path: Path, motion: np.ndarray) -> None:
    """Where the tracker was unsure the later steps must know."""
    quality = np.linspace(0, 1, _N)
    np.savez(tmp_path / "x.npz", coefficients=motion, quality=quality, other=np.zeros(3))
    track = read_track(tmp_path / "x.npz")
    np.testing.assert_allclose(track.quality, quality, atol=1e-6)
    assert np.flatnonzero(track.lost).tolist() == [0]
    assert track.time_s is None


def test_names_in_bytes_are_read(tmp_path: Path, motion: np.ndarray) -> None:
    """MATLAB and HDF5 tools write them so."""
    names = np.array(ORDERS["unreal"], dtype="S")
    values = convert(motion, source="alphabetical", target="unreal")
    np.savez(tmp_path / "x.npz", values=values, names=names)
    np.testing.assert_array_equal(read_track(tmp_path / "x.npz").values, motion)


def test_the_way_from_file_to_motion(tmp_path: Path, motion: np.ndarray) -> None:
    """Each step takes what the one before returns."""
    times = np.arange(_N) / 60
    table = motion.copy()
    table[7] = np.nan
    np.savez(tmp_path / "x.npz", values=table, time_s=times)
    track = fill_gaps(read_track(tmp_path / "x.npz"), tmp_path / "x.npz")
    notes, values = check_values(track, tmp_path / "x.npz")
    result = at_frame_rate(dataclasses.replace(track, values=values), n_frames=20)
    assert notes == []
    assert result.shape == (20, 52)
    assert result.dtype == np.float32


def test_null_in_json_is_nan(tmp_path: Path, motion: np.ndarray) -> None:
    """It must reach the check of values, which names the channel."""
    document = _beat(motion[:2])
    document["frames"][1]["weights"][3] = None
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert np.argwhere(np.isnan(read_track(tmp_path / "x.json").values)).tolist() == [[1, 3]]


def test_json_without_times_takes_the_rate_of_its_header(
    tmp_path: Path, motion: np.ndarray
) -> None:
    """And without either it is a table like any other."""
    document = _lam(motion)
    for frame in document["frames"]:
        del frame["time"]
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert read_track(tmp_path / "x.json").rate_hz == pytest.approx(30)
    del document["metadata"]
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert read_track(tmp_path / "x.json").time_s is None


@pytest.mark.parametrize("kind", [*_KINDS, "livelink"])
@pytest.mark.parametrize("share", [0.999, 0.5, 0.02])
def test_a_truncated_file_is_refused(
    tmp_path: Path, motion: np.ndarray, kind: str, share: float
) -> None:
    """A download that stopped must not become half a sentence with a whole sound.

    Rows of a table stand for themselves: the one that was cut is left out and noted, and that the
    take is too short shows beside its sound.
    """
    path = _write(tmp_path, motion, kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    if path.suffix == ".csv" and share > 0.1:
        n_whole = path.read_text().count("\n") - 1
        track = read_track(path)
        assert len(track.values) == n_whole == measure_track(path).n_frames
        assert "1 frame that cannot be read taken for lost: " in track.notes[0]
        assert f"in line {n_whole + 2}" in track.notes[0]
        return
    with pytest.raises(InputError, match=re.escape(f"{path}: ")):
        read_track(path)
    if path.suffix != ".csv":
        with pytest.raises(InputError, match=re.escape(f"{path}: ")):
            measure_track(path)


def test_a_truncated_array_is_told_by_its_size(tmp_path: Path, motion: np.ndarray) -> None:
    """Its header alone says 40 frames; nobody wants to read the rest of a corpus to find out."""
    path = tmp_path / "x.npy"
    np.save(path, motion)
    path.write_bytes(path.read_bytes()[:-4])
    message = f"{path}: must have 8448 bytes for float32 (40, 52) as its header says, got 8444"
    for use in (read_track, measure_track):
        with pytest.raises(InputError, match=re.escape(message)):
            use(path)


def _npy(shape: str = "(2, 52)", descr: str = "'<f4'", version: int = 1) -> bytes:
    """Return the header of a `.npy` file without its data."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no array", "must be a whole .npy array, got"),
        (_npy("(2, 53)") + bytes(2 * 53 * 4), "in alphabetical ARKit order, or 51 without tong"),
        (_npy("(1, 2, 52)") + bytes(416), "shape (T, 52) or (T, 51), got float32 (1, 2, 52)"),
        (_npy("(0, 52)"), "must hold at least one frame, got shape (0, 52)"),
        (_npy(descr="'|O'") + bytes(832), "must be numbers of shape"),
        (_npy(descr="'<c8'") + bytes(832), "got complex64 (2, 52)"),
        (_npy(descr="'<U1'") + bytes(416), "got <U1 (2, 52)"),
        (_npy("(10**12, 52)") + bytes(99), "must be a whole .npy array, got"),
        (_npy("(1000000000000, 52)") + bytes(99), "must have 208000000000128 bytes"),
        (_npy(version=3) + bytes(416), "got an array of format 3.0, only 1.0 and 2.0 are read"),
        (_npy() + bytes(500), "must have 544 bytes for float32 (2, 52)"),
    ],
)
def test_an_array_that_is_no_motion_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """Object arrays would run code, and a lying header would ask for terabytes."""
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    for use in (read_track, measure_track):
        with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
            use(path)


def test_the_second_version_of_the_header_is_read(tmp_path: Path) -> None:
    """NumPy writes it for long headers."""
    (tmp_path / "x.npy").write_bytes(_npy(version=2) + bytes(416))
    assert read_track(tmp_path / "x.npy").values.shape == (2, 52)


_ZEROS = np.zeros((3, 52), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"poses": _ZEROS}, "one of values, motion, blendshapes, coefficients, got ['poses']"),
        ({"values": _ZEROS, "motion": _ZEROS}, "got ['values', 'motion']"),
        ({"values": _ZEROS[:, :50]}, "must have 52 columns in alphabetical ARKit order"),
        ({"values": _ZEROS, "names": ARKIT_NAMES[1:]}, "each column, got 51 for 52 columns"),
        ({"values": _ZEROS, "names": ["browDown", *ARKIT_NAMES[1:]]}, "unknown: browDown; did you"),
        ({"values": _ZEROS, "time_s": np.arange(2)}, "`time_s` must be numbers of shape (3,)"),
        ({"values": _ZEROS, "quality": ["a"] * 3}, "`quality` must be numbers of shape (3,)"),
        ({"values": _ZEROS, "fps": 0.0}, "frame rate must be 5 to 500 Hz, got 0.0"),
        ({"values": _ZEROS, "fps": np.arange(3)}, "`fps` must be one frame rate, got int64 (3,)"),
        ({"values": _ZEROS, "fps": 25, "rate_hz": 30}, "rate_hz and fps must agree, got [30.0, 25"),
        ({"values": _ZEROS, "fps": 25, "time_s": np.arange(3) / 60}, "frames (60.00 Hz), got 25"),
        ({"values": np.array([[None] * 52])}, "must be numbers of shape"),
        ({"values": _ZEROS, "names": np.array([None] * 52)}, "got an array of objects"),
    ],
)
def test_an_archive_that_is_no_motion_is_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    """Each key is checked, not only the values."""
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


def test_a_member_that_is_no_array_is_not_taken_for_one(tmp_path: Path) -> None:
    """`values` beside `values.npy` is another program's."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("values", b"text")
    with pytest.raises(InputError, match="coefficients, got nothing"):
        read_track(tmp_path / "x.npz")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """One flipped bit inside the data leaves the archive's index whole."""
    path = tmp_path / "x.npz"
    np.savez(path, values=_ZEROS)
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape("a whole .npz archive, got Bad CRC")):
        read_track(path)


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """A header of a few bytes must not reserve a terabyte."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("values.npy", _npy("(1000000000000, 52)") + bytes(99))
    for use in (read_track, measure_track):
        with pytest.raises(InputError, match="must have 208000000000128 bytes"):
            use(tmp_path / "x.npz")


_HEADER = ",".join(["time_s", "quality", *ARKIT_NAMES])
_ROW = ",0" * 51


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_HEADER, "must be a table of numbers, got no row of values in line 1"),
        (f"{_HEADER}\n0,1{_ROW},0\n\n0.1,1,0.5\n", "got 3 columns instead of 54 in line 4"),
        (f"{_HEADER}\n0,1{_ROW},x\n", "got a value that is not a number ('x') in line 2"),
        (f"{_HEADER}\n0,2{_ROW},0\n", "quality must be in [0, 1], got 2.0 at frame 0"),
        (f"{_HEADER}\n0.1,1{_ROW},0\n0,1{_ROW},0\n", "times must ascend, got 0.1 at frame 0"),
        ("time,smirk,grin\n0,0,0\n", "unknown: smirk, grin"),
        ("time,smirk,jawOpn,grin,jawLeft\n0,0,0,0,0\n", "unknown: jawOpn; did you mean jawOpen?"),
        ("jawOpen,jaw_open\n0,0\n", "double: jaw_open"),
        ("time,timestamp,jawOpen\n0,0,0\n", "one column of time at most, got time, timestamp"),
        ("a;b;c\n1;2;3\n", "at least one ARKit shape, each once, got unknown: a, b, c"),
        ("emotion,intensity\nhappy,2\n", "unknown: emotion, intensity"),
        ("0.1,0.2\n0.1,0.2\n", "must have a header that names its columns, got numbers in line 1"),
        (",".join(["a"] * 2001) + "\n0\n", "must have at most 2000 columns, got 2001"),
    ],
)
def test_a_table_with_faults_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message names the line, or all names at once."""
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


def _changed(document: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**document, **changes})


_FRAME = {"weights": [0.0, 0.0], "time": 0.0}
_TWO = {"names": ["jawOpen", "mouthClose"], "frames": [_FRAME, {**_FRAME, "time": 1 / 30}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must be a JSON object, got list"),
        ("[" * 100_000, "must be whole JSON, got"),
        ("{}", "must hold `names` and `frames` (BEAT, LAM) or `facsNames` and `weightMat`"),
        (_changed(_TWO, names=None), "`names` must be a list of names, got None"),
        (_changed(_TWO, names=["grin", "smirk"]), "unknown: grin, smirk"),
        (_changed(_TWO, frames=[]), "must hold at least one frame, got []"),
        (_changed(_TWO, frames={"a": 1}), "`frames` must be a list of objects"),
        (_changed(_TWO, frames=[_FRAME, {"weights": [1]}]), "frame 1 must have 2 weights, got 1"),
        (_changed(_TWO, frames=[{"time": 0}]), "frame 0 must have 2 weights, got None"),
        (_changed(_TWO, frames=[{**_FRAME, "weights": ["a", 0]}]), "weights must be numbers, got"),
        (
            _changed(_TWO, frames=[_FRAME, {"weights": [0, 0]}]),
            "frame 1 must have a time in seconds, got None",
        ),
        (
            _changed(_TWO, frames=[{**_FRAME, "time": 1}, _FRAME]),
            "times must ascend, got 1.0 at frame 0",
        ),
        (_changed(_TWO, metadata={"fps": 60}), "(30.00 Hz), got 60 Hz"),
        (_changed(_TWO, metadata={"fps": "?"}), "frame rate must be 5 to 500 Hz, got '?'"),
        (json.dumps({"weightMat": [[0]]}), "`facsNames` must be a list of names, got None"),
        (json.dumps({"weightMat": [], "facsNames": ["jawOpen"]}), "at least one frame, got []"),
    ],
)
def test_json_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The wrong file picked is the commonest mistake of all."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


@pytest.mark.parametrize("use", [read_track, measure_track])
def test_a_path_that_is_no_motion_file_is_refused(tmp_path: Path, use: Any) -> None:
    """One line with the path and what may stand there."""
    rule = "must end in .npy, .npz, .csv, .json, .jsonl, .ndjson, got '.x'"
    with pytest.raises(InputError, match=re.escape(rule)):
        use(tmp_path / "a.x")
    for suffix in MOTION_SUFFIXES:
        path = tmp_path / f"a{suffix}"
        with pytest.raises(InputError, match="must be a motion file, got no such file"):
            use(path)
        path.write_bytes(b"")
        with pytest.raises(InputError, match=re.escape("must hold motion, got an empty file (0 b")):
            use(path)


def test_the_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    """Cameras write `.CSV`."""
    path = tmp_path / "A.CSV"
    path.write_text("jawOpen\n0.5\n")
    track = read_track(path)
    assert isinstance(track, MotionTrack)
    assert measure_track(path) == Extent(1, None)

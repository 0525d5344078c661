"""What one reader knows its neighbours know: spellings, forms, and frames that cost themselves."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion import MotionTrack, measure_track, read_track
from esarm_env.corpus.motion.frames import kept_frames
from esarm_env.face import ARKIT_NAMES, index_of
from esarm_env.face.names import ORDERS, shape_columns

_NAMES = ("jawOpen", "mouthSmileLeft", "eyeBlinkRight")
_COLUMNS = [index_of(name) for name in _NAMES]
_N = 20
_VALUES = np.round(np.random.default_rng(7).random((_N, 3)), 3)
_TIMES = np.arange(_N) / 50


def _read(path: Path, content: str | bytes) -> MotionTrack:
    """Write and read a file; measuring must tell what reading does."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    track, extent = read_track(path), measure_track(path)
    assert extent.n_frames == len(track.values)
    assert extent.rate_hz == (None if track.rate_hz is None else pytest.approx(track.rate_hz))
    return track


def _csv(header: list[str], *, factor: float = 1.0) -> str:
    rows = np.column_stack([_TIMES * factor, _VALUES]).tolist()
    return "\n".join([",".join(header), *(",".join(map(str, row)) for row in rows)])


@pytest.mark.parametrize(
    "names",
    [
        ("JawOpen", "MouthSmileLeft", "EyeBlinkRight"),
        ("jaw_open", "mouth_smile_left", "eye_blink_right"),
        ("jawOpen", "mouthSmile_L", "eyeBlink_R"),
        ("jawOpen", "mouthSmile.L", "eyeBlink.R"),
        ("JAW OPEN", "Mouth Smile L", "eye-blink-right"),
        ("jawOpen", "leftMouthSmile", "R_eyeBlink"),
        ("blendShape1.jawOpen", "blendShape1.mouthSmile_L", "blendShape1.eyeBlink_R"),
        ("blendShapes.JawOpen", "blendShapes.MouthSmileLeft", "blendShapes.EyeBlinkRight"),
        ("Face|head:jawOpen", "Face|head:mouthSmile_L", "head/eyeBlink.R"),
        ("bs_jawOpen", "ARKit_mouthSmileLeft", "blendShape12_eyeBlink_R"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "livelink", "json", "npz", "columns"])
def test_every_reader_knows_every_spelling(
    tmp_path: Path, names: tuple[str, ...], kind: str
) -> None:
    """A name that one reader knows and its neighbour does not costs the take in one format."""
    if kind == "csv":
        track = _read(tmp_path / "x.csv", _csv(["time_s", *names]))
    elif kind == "livelink":
        lines = [f"timecode,{','.join(names)}"]
        lines += [
            f"00:00:{i // 50:02}:{i % 50:02},{','.join(map(str, row))}"
            for i, row in enumerate(_VALUES.tolist())
        ]
        (tmp_path / "x.csv").write_text("\n".join(lines))
        track = read_track(tmp_path / "x.csv")
    elif kind == "json":
        frames = [{"weights": r, "time": t} for t, r in zip(_TIMES, _VALUES.tolist(), strict=True)]
        document = {"names": names, "frames": frames}
        track = _read(tmp_path / "x.json", json.dumps(document))
    elif kind == "columns":
        columns = dict(zip(names, _VALUES.T.tolist(), strict=True))
        document = {"timestamp": _TIMES.tolist(), **columns}
        track = _read(tmp_path / "x.json", json.dumps(document))
    else:
        file = io.BytesIO()
        np.savez(file, values=_VALUES, names=np.array(names), time_s=_TIMES)
        track = _read(tmp_path / "x.npz", file.getvalue())
    assert np.flatnonzero(track.captured).tolist() == sorted(_COLUMNS)
    np.testing.assert_allclose(track.values[:, _COLUMNS], _VALUES, atol=1e-6)
    assert track.notes == ()


@pytest.mark.parametrize(
    ("key", "factor"),
    [
        ("time_s", 1),
        ("Time (s)", 1),
        ("timestamp", 1),
        ("timestampMs", 1e3),
        ("time_us", 1e6),
        ("Nanoseconds", 1e9),
        ("timeCode", 1),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "json", "npz"])
def test_every_reader_knows_every_name_of_time(
    tmp_path: Path, key: str, factor: float, kind: str
) -> None:
    """Without its times a file at 50 fps would need somebody to tell."""
    if kind == "csv":
        track = _read(tmp_path / "x.csv", _csv([key, *_NAMES], factor=factor))
    elif kind == "json":
        frames = [
            {key: t * factor, **dict(zip(_NAMES, row, strict=True))}
            for t, row in zip(_TIMES.tolist(), _VALUES.tolist(), strict=True)
        ]
        track = _read(tmp_path / "x.json", json.dumps(frames))
    else:
        file = io.BytesIO()
        np.savez(file, values=_VALUES, names=np.array(_NAMES), **{key: _TIMES * factor})
        track = _read(tmp_path / "x.npz", file.getvalue())
    assert track.rate_hz == pytest.approx(50)
    np.testing.assert_allclose(track.values[:, _COLUMNS], _VALUES, atol=1e-6)


def _named(row: list[float]) -> dict[str, float]:
    return dict(zip(_NAMES, row, strict=True))


def _categories(row: list[float]) -> list[dict[str, Any]]:
    return [
        {"index": i, "categoryName": name, "score": value}
        for i, (name, value) in enumerate(_named(row).items())
    ]


_ROWS = _VALUES.tolist()


@pytest.mark.parametrize(
    ("document", "rate_hz"),
    [
        ([_named(row) for row in _ROWS], None),
        ([{"time": t, **_named(r)} for t, r in zip(_TIMES, _ROWS, strict=True)], 50),
        ({"fps": 50, "frames": [_named(row) for row in _ROWS]}, 50),
        ({"fps": 50, "frames": [{"blendShapes": _named(row)} for row in _ROWS]}, 50),
        ({"frameRate": "50", "data": [{"weights": _named(row)} for row in _ROWS]}, 50),
        ({"names": _NAMES, "fps": 50, "frames": _ROWS}, 50),
        ({"blendshape_names": _NAMES, "frames": [{"weights": row} for row in _ROWS]}, None),
        ({"metadata": {"fps": 50}, "names": _NAMES, "weights": _ROWS}, 50),
        ([_categories(row) for row in _ROWS], None),
        ([{"faceBlendshapes": [{"categories": _categories(row)}]} for row in _ROWS], None),
        ({"blendshapes": [_named(row) for row in _ROWS], "fps": 50}, 50),
        (dict(zip(_NAMES, _VALUES.T.tolist(), strict=True)) | {"fps": 50}, 50),
        (_named([[0.5]] * 3) | {"fps": 50, "subject": "x", "tags": ["a"]}, None),
        (
            [
                {"frame": i, "subject": "x", "head": {"x": 1}, **_named(r)}
                for i, r in enumerate(_ROWS)
            ],
            None,
        ),
    ],
)
def test_every_form_of_frames_is_read(tmp_path: Path, document: Any, rate_hz: float | None) -> None:
    """People dump curves as their language does; a list of frames is no worse than a header."""
    track = _read(tmp_path / "x.json", json.dumps(document))
    expected = _VALUES if len(track.values) > 1 else [[0.5] * 3]
    np.testing.assert_allclose(track.values[:, _COLUMNS], expected, atol=1e-6)
    assert np.flatnonzero(track.captured).tolist() == sorted(_COLUMNS)
    assert track.rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))


def test_frames_that_hold_nothing_are_lost_and_noted(tmp_path: Path) -> None:
    """A tracker that lost the face writes an empty frame; it cost the take."""
    frames: list[Any] = [{"time": t, **_named(r)} for t, r in zip(_TIMES, _ROWS, strict=True)]
    frames[4] = {"time": _TIMES[4]}
    track = _read(tmp_path / "x.json", json.dumps(frames))
    assert np.flatnonzero(track.lost).tolist() == [4]
    assert track.notes == (
        "1 frame that cannot be read taken for lost: frame 4 must have 3 weights, got None",
    )
    frames = [None if i == 4 else row for i, row in enumerate(_ROWS)]
    track = _read(tmp_path / "x.json", json.dumps({"names": _NAMES, "frames": frames}))
    assert np.flatnonzero(track.lost).tolist() == [4]


def test_an_integer_beyond_all_floats_is_infinite(tmp_path: Path) -> None:
    """It ended the opening of a corpus; the check of values tells channel and frame."""
    document = {"names": _NAMES, "frames": [[0, 10**400, 0], [0, 0, -(10**400)], [0, 0, 0]]}
    track = _read(tmp_path / "x.json", json.dumps(document))
    assert track.values[0, _COLUMNS[1]] == np.inf
    assert track.values[1, _COLUMNS[2]] == -np.inf


@pytest.mark.parametrize("kind", ["csv", "json", "npz"])
def test_a_repeated_time_costs_its_frame_in_every_format(tmp_path: Path, kind: str) -> None:
    """A display's clock repeats; Live Link rows that do were dropped, others cost the take."""
    order = np.sort(np.r_[np.arange(_N), np.arange(0, _N, 5)])
    times, values = _TIMES[order], _VALUES[order]
    if kind == "csv":
        rows = np.column_stack([times, values]).tolist()
        lines = [",".join(["t", *_NAMES]), *(",".join(map(str, row)) for row in rows)]
        track = _read(tmp_path / "x.csv", "\n".join(lines))
    elif kind == "json":
        frames = [{"t": t, **_named(r)} for t, r in zip(times, values.tolist(), strict=True)]
        track = _read(tmp_path / "x.json", json.dumps(frames))
    else:
        file = io.BytesIO()
        np.savez(file, values=values, names=np.array(_NAMES), t=times)
        track = _read(tmp_path / "x.npz", file.getvalue())
    np.testing.assert_allclose(track.time_s, _TIMES, atol=1e-9)
    np.testing.assert_allclose(track.values[:, _COLUMNS], _VALUES, atol=1e-6)
    assert track.notes == ("frames left out for a repeated time: 4",)


def test_one_time_that_steps_back_or_is_none_costs_its_frame() -> None:
    """One bad stamp must not cost the take, nor one that jumps ahead all that follow."""
    times = np.arange(40.0)
    times[5], times[11], times[20] = 2.5, 1e6, np.nan
    kept = kept_frames("x", times)
    assert np.flatnonzero(~kept.mask).tolist() == [5, 11, 20]
    assert kept.notes == (
        "frames left out without a time: 1",
        "frames left out for a step back in time: 2",
    )
    assert kept_frames("x", np.arange(3.0)).notes == ()
    assert kept_frames("x", np.zeros(0)).mask.tolist() == []


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.arange(20.0)[::-1], "x: times must ascend, got 19.0 at frame 0"),
        (np.r_[np.arange(10.0), np.arange(10.0)], "x: times must ascend, got "),
        (
            np.r_[np.nan, np.nan, np.nan, np.arange(10.0)],
            "times must be finite, got nan at frame 0",
        ),
    ],
)
def test_times_that_are_no_clock_are_refused(times: np.ndarray, message: str) -> None:
    """Two takes in one file are not one with a few bad frames."""
    with pytest.raises(InputError, match=re.escape(message)):
        kept_frames("x", times)


def test_unknown_columns_are_noted_in_every_format(tmp_path: Path) -> None:
    """A column of emotions cost the take; dropped without a word, nobody would miss it."""
    note = ("columns that are no shapes left out: Angry, 心",)
    header = ["t", *_NAMES, "Angry", "心", "HeadYaw", ""]
    lines = [
        ",".join(header),
        *(f"{t},{','.join(map(str, r))},high,2,0," for t, r in zip(_TIMES, _ROWS, strict=True)),
    ]
    assert _read(tmp_path / "x.csv", "\n".join(lines)).notes == note
    frames = [{**_named(row), "Angry": 1, "心": 2, "HeadYaw": 0} for row in _ROWS]
    assert _read(tmp_path / "x.json", json.dumps(frames)).notes == note
    file = io.BytesIO()
    np.savez(file, values=np.zeros((2, 4)), names=np.array(["jawOpen", "Angry", "心", "HeadYaw"]))
    assert _read(tmp_path / "x.npz", file.getvalue()).notes == note


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["jawOpn", "jawLeft"], "unknown: jawOpn; did you mean jawOpen?"),
        (["mouthSmile", "jawOpen"], "unknown: mouthSmile; did you mean mouthSmile"),
        (["browInnerUp_L", "jawOpen"], "unknown: browInnerUp_L; did you mean browInnerUp?"),
        (["jawOpen", "blendShape1.jawOpen"], "double: blendShape1.jawOpen"),
        (["a"] * 2001, "`header` must have at most 2000 names, got 2001"),
    ],
)
def test_a_name_that_is_nearly_a_shapes_is_refused(header: list[str], message: str) -> None:
    """Left out with a note, a misspelt jaw never opens."""
    with pytest.raises(InputError, match=re.escape(message)):
        shape_columns(header)


def test_a_name_near_a_shape_that_is_there_is_another_column() -> None:
    """`jawOpenRaw` beside `jawOpen` is no misspelling of it."""
    found = shape_columns([*ARKIT_NAMES, "jawOpenRaw", "mouthSmile", *ORDERS["livelink_udp"][52:]])
    assert (len(found.places), found.others) == (52, ("jawOpenRaw", "mouthSmile"))


def _npy(header: bytes, *, version: int = 1, length: int | None = None) -> bytes:
    size = len(header) if length is None else length
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", size)
        + header
    )


def _shape(shape: str, descr: str = "'<f4'") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_npy(b"{[]:1}"), "must be a whole .npy array, got unhashable type"),
        (_npy(b"-" * 9000 + b"1"), "must be a whole .npy array, got "),
        (_npy(_shape("(-1, -52)")) + bytes(208), "got float32 (-1, -52)"),
        (_npy(_shape("(-1, 52)")), "got float32 (-1, 52)"),
        (_npy(_shape("(2, 10**9)")), "must be a whole .npy array, got malformed node"),
        (_npy(_shape("(3, 2001)")) + bytes(3 * 2001 * 4), "got float32 (3, 2001)"),
        (
            _npy(b"{", version=2, length=2**32 - 16),
            "got a header of 4294967280 bytes where a line can be",
        ),
        (b"\x93NUMPY\x01", "must be a whole .npy array, got"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """The header is Python; a few bytes of it ended the opening of a corpus, or asked for 4 GiB."""
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    for use in (read_track, measure_track):
        with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
            use(path)


def _bomb(
    path: Path, members: dict[str, tuple[bytes, int]], method: int = zipfile.ZIP_DEFLATED
) -> None:
    """Write an archive whose members are a header and zeros."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for key, (header, n_zeros) in members.items():
            archive.writestr(f"{key}.npy", _npy(header) + bytes(n_zeros))


_GOOD = (_shape("(3, 52)"), 3 * 52 * 4)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"values": (_shape("(900_001, 1)", "'|u1'"), 900_001)}, "must have 52 columns"),
        (
            {"values": _GOOD, "time_s": (_shape("(3000000,)", "'<f8'"), 24_000_000)},
            "`time_s` must be numbers of shape (3,), got float64 (3000000,)",
        ),
        (
            {"values": _GOOD, "quality": (_shape("(3000000,)", "'<f8'"), 24_000_000)},
            "`quality` must be numbers of shape (3,), got float64 (3000000,)",
        ),
        (
            {"values": _GOOD, "names": (_shape("(52,)", "'<U10000'"), 52 * 40_000)},
            "`names` must have at most 1048576 bytes, got <U10000 (52,)",
        ),
        (
            {"values": _GOOD, "fps": (_shape("(200000,)", "'<f8'"), 1_600_000)},
            "`fps` must have at most 1048576 bytes, got float64 (200000,)",
        ),
        (
            {"values": _GOOD, "fps": (_shape("()", "'<f8'"), 2_000_000)},
            "`fps` must have at most 1048576",
        ),
        ({"values": _GOOD, "fps": (_shape("(-1, -1)", "'<f8'"), 8)}, "`fps` must have at most"),
    ],
)
def test_an_archive_that_declares_too_much_is_refused_unread(
    tmp_path: Path, members: dict[str, tuple[bytes, int]], message: str
) -> None:
    """Nine megabytes of packed zeros took gigabytes before anything was checked."""
    path = tmp_path / "x.npz"
    _bomb(path, members)
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


def test_motion_of_more_frames_than_a_take_has_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers tell; the limits are lowered here, so that no test needs gigabytes."""
    monkeypatch.setattr("esarm_env.corpus.motion.named_arrays.LARGEST_ARRAY", 10 * 52 * 4)
    np.save(tmp_path / "x.npy", np.zeros((10, 52), np.float32))
    assert len(read_track(tmp_path / "x.npy").values) == 10
    np.save(tmp_path / "x.npy", np.zeros((11, 52), np.float32))
    np.savez(tmp_path / "x.npz", values=np.zeros((11, 52), np.float32))
    message = "must hold at most 10 frames of 52 float32, got 11; cut it first"
    for name in ("x.npy", "x.npz"):
        for use in (read_track, measure_track):
            with pytest.raises(InputError, match=re.escape(message)):
                use(tmp_path / name)


def test_an_archive_packed_in_another_way_is_refused(tmp_path: Path) -> None:
    """bz2 unpacks four kilobytes to four gigabytes in one step, whatever is asked for."""
    _bomb(tmp_path / "x.npz", {"values": _GOOD}, zipfile.ZIP_BZIP2)
    with pytest.raises(
        InputError, match=re.escape("got an array compressed by method 12, which NumPy")
    ):
        read_track(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "must be whole JSON, got maximum recursion depth"),
        (
            '{"names":["jawOpen"],"frames":[[' + "9" * 5000 + "]]}",
            "must be whole JSON, got Exceeds",
        ),
        (
            json.dumps({"names": ["a"] * 2001, "frames": [[0]]}),
            "`names` must be at most 2000, got 2001",
        ),
        (
            json.dumps([{f"a{i}": 1} for i in range(50)]),
            "frames must hold the same names, got 50 in all and 1.0 a frame",
        ),
        (
            json.dumps({"names": [f"a{i}" for i in range(1999)], "frames": [[1]] * 50}),
            "frame 0 must have 1999 weights, got 1; and 49 more",
        ),
        (json.dumps({"jawOpen": [0, 1], "mouthClose": [0]}), "columns must be equally long"),
        (json.dumps([{"jawOpen": 1}, 3]), "`frames` must be a list of objects"),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A million empty frames and two thousand names ask for an array of gigabytes."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


def test_millions_of_frames_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three bytes are a frame in JSON; the limit is lowered here."""
    monkeypatch.setattr("esarm_env.corpus.motion.json_files.MOST_FRAMES", 4)
    for document in (
        [{}] * 5,
        {"facsNames": ["jawOpen"], "weightMat": [[0]] * 5},
        {"jawOpen": [0] * 5},
    ):
        (tmp_path / "x.json").write_text(json.dumps(document))
        with pytest.raises(InputError, match="at most 4"):
            read_track(tmp_path / "x.json")

"""Forms that people dump motion in: frames by key or a line each, one array a channel, records."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion import MotionTrack, measure_track, read_track
from esarm_env.face import ARKIT_NAMES, index_of
from esarm_env.face.names import _INDEX, _OBJECTS, find_column

_NAMES = ("jawOpen", "mouthSmileLeft", "eyeBlinkRight")
_COLUMNS = [index_of(name) for name in _NAMES]
_N = 20
_VALUES = np.round(np.random.default_rng(5).random((_N, 3)), 3)
_ROWS = _VALUES.tolist()
_NAMED = [dict(zip(_NAMES, row, strict=True)) for row in _ROWS]
_TIMES = [round(i / 50, 2) for i in range(_N)]


def _read(path: Path, content: str | bytes) -> MotionTrack:
    """Write and read a file; measuring must tell what reading does."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    track, extent = read_track(path), measure_track(path)
    assert extent.n_frames == len(track.values)
    assert (extent.rate_hz is None) == (track.rate_hz is None)
    return track


def _check(track: MotionTrack, rate_hz: float | None) -> None:
    np.testing.assert_allclose(track.values[:, _COLUMNS], _VALUES, atol=1e-6)
    assert np.flatnonzero(track.captured).tolist() == sorted(_COLUMNS)
    assert track.rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))


def _keyed(key: Callable[[int], str], frames: list[Any] | None = None) -> dict[str, Any]:
    return {key(i): frame for i, frame in enumerate(frames or _NAMED)}


def _in_columns() -> dict[str, Any]:
    """Return what pandas writes by default."""
    return {
        name: {str(i): row[place] for i, row in enumerate(_ROWS)}
        for place, name in enumerate(_NAMES)
    }


_DOCUMENTS: list[tuple[Any, float | None]] = [
    (_keyed(str), None),
    (_keyed(str) | {"fps": 50}, 50),
    (_keyed(lambda i: str(i + 1)), None),
    (_keyed(lambda i: f"frame_{i:04}"), None),
    (dict(reversed(_keyed(str).items())), None),
    (_keyed(str, [{"blendShapes": frame} for frame in _NAMED]), None),
    (_keyed(str, _ROWS) | {"names": _NAMES, "fps": 50}, 50),
    (_keyed(lambda i: f"{i / 50:.2f}"), 50),
    (_keyed(lambda i: f"t={i / 50:.3f}"), 50),
    (_keyed(lambda i: str(i * 20)), 50),
    (_keyed(lambda i: f"00:00:00.{i * 20:03}"), 50),
    (_keyed(lambda i: f"2026-05-01T12:00:00.{i * 20:03}Z"), 50),
    (_keyed(str, [{"time": t, **f} for t, f in zip(_TIMES, _NAMED, strict=True)]), 50),
    ({"fps": 50, "frames": _keyed(str)}, 50),
    ({"metadata": {"fps": 50}, "blendshapes": _keyed(str)}, 50),
    ({"metadata": {"fps": 50, "names": _NAMES}, "frames": _ROWS}, 50),
    ({"fps": 50, "blendshapes": dict(zip(_NAMES, _VALUES.T.tolist(), strict=True))}, 50),
    ({"version": 1, "take": {"fps": 50, "frames": _NAMED}}, 50),
    ({"fps": 50, "session": {"take": {"names": _NAMES, "frames": _ROWS}}}, 50),
    (_in_columns(), None),
    (_in_columns() | {"time": {str(i): t for i, t in enumerate(_TIMES)}}, 50),
    ({"columns": [*_NAMES, "time"], "data": [[*r, i / 50] for i, r in enumerate(_ROWS)]}, 50),
    ([{name: str(value) for name, value in frame.items()} for frame in _NAMED], None),
    ({"names": _NAMES, "frames": [[str(v) for v in row] for row in _ROWS]}, None),
    ({"names": _NAMES, "frames": [[f"{v:.3f}".replace(".", ",") for v in r] for r in _ROWS]}, None),
    ({name: [str(row[i]) for row in _ROWS] for i, name in enumerate(_NAMES)}, None),
]


@pytest.mark.parametrize(("document", "rate_hz"), _DOCUMENTS)
def test_every_form_of_json_is_read(tmp_path: Path, document: Any, rate_hz: float | None) -> None:
    """A dictionary by frame is what a loop in Python leaves; each of these was refused."""
    track = _read(tmp_path / "x.json", json.dumps(document))
    _check(track, rate_hz)
    assert [note for note in track.notes if "times taken for" not in note] == []


_LINES: list[tuple[list[Any], float | None]] = [
    (_NAMED, None),
    ([{"time": t, **f} for t, f in zip(_TIMES, _NAMED, strict=True)], 50),
    ([{"t": t, "weights": f} for t, f in zip(_TIMES, _NAMED, strict=True)], 50),
    ([{"names": _NAMES, "fps": 50}, *_ROWS], 50),
    ([{"fps": 50}, *_NAMED], 50),
    ([{"metadata": {"fps": 50}}, *_NAMED], 50),
    ([{"names": _NAMES}, *({"weights": r, "time": i / 50} for i, r in enumerate(_ROWS))], 50),
]


@pytest.mark.parametrize(("lines", "rate_hz"), _LINES)
@pytest.mark.parametrize("suffix", [".jsonl", ".JSONL", ".ndjson", ".json"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_frames_may_stand_one_a_line(
    tmp_path: Path, lines: list[Any], rate_hz: float | None, suffix: str, end: str
) -> None:
    """A logger appends lines; many call the file `.json` all the same."""
    text = "".join(json.dumps(line) + end for line in lines)
    track = _read(tmp_path / f"x{suffix}", text)
    _check(track, rate_hz)
    assert track.notes == ()


def test_lines_may_be_in_any_encoding_of_json_and_a_single_one_is_a_frame(tmp_path: Path) -> None:
    """Windows adds a mark; a recording of one line is a list of one frame."""
    text = "\n".join(map(json.dumps, _NAMED))
    for encoding in ("utf-8-sig", "utf-16"):
        _check(_read(tmp_path / "x.jsonl", text.encode(encoding)), None)
    assert len(_read(tmp_path / "x.jsonl", json.dumps(_NAMED[0])).values) == 1


def test_a_line_that_cannot_be_read_costs_its_frame(tmp_path: Path) -> None:
    """And one that was cut at the end is none."""
    lines = [json.dumps({"time": t, **f}) for t, f in zip(_TIMES, _NAMED, strict=True)]
    track = _read(tmp_path / "x.jsonl", "\n".join(lines)[:-20])
    assert len(track.values) == _N - 1
    assert (
        "1 frame that cannot be read taken for lost: line 20 must be whole JSON" in track.notes[0]
    )
    lines[4] = '{"jawOpen": '
    track = _read(tmp_path / "x.jsonl", "\n".join(lines))
    assert "line 5 must be whole JSON, got Expecting value" in track.notes[0]
    np.testing.assert_allclose(track.time_s, np.delete(_TIMES, 4), atol=1e-9)
    lines[5] = lines[6] = "-"
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match=re.escape("x.jsonl: line 5 must be whole JSON, got ")):
        read_track(tmp_path / "x.jsonl")


def test_a_frame_whose_number_is_left_out_is_lost(tmp_path: Path) -> None:
    """Closed up, all that follow would come a frame too early."""
    document = _keyed(str)
    del document["4"]
    track = _read(tmp_path / "x.json", json.dumps(document))
    assert len(track.values) == _N
    assert np.flatnonzero(track.lost).tolist() == [4]
    np.testing.assert_allclose(track.values[5:, _COLUMNS], _VALUES[5:], atol=1e-6)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"0": {"jawOpen": 0}, str(10**12): {"jawOpen": 1}}, "name their unit as in `time_ms`"),
        ({str(i): {"jawOpen": 0} for i in range(0, 60, 2)}, "name their unit as in `time_ms`"),
        ({"0": {}, "1": {}, "2": {}}, "`names` must be a list of names, got None"),
        ({"0": {"jawOpen": 0}, "1": 5, "2": {"jawOpen": 0}}, "times"),
        ({"jawOpen": {"0": 1}, "jawLeft": {"1": 1}}, "columns must have the same keys, got others"),
        ([{"jawOpen": "wide"}] * 3, "frame 0: weights must be numbers, got not a number: 'wide'"),
        ([{"jawOpen": "0,5", "jawLeft": "0.25"}] * 3, "numbers must have one decimal sign"),
    ],
)
def test_frames_that_contradict_themselves_are_refused(
    tmp_path: Path, document: Any, message: str
) -> None:
    """Every second number of a frame may be 15 or 500 frames a second."""
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _records(kinds: list[Any], columns: dict[str, Any]) -> bytes:
    records = np.zeros(_N, kinds)
    for name, values in columns.items():
        records[name] = values
    file = io.BytesIO()
    np.save(file, records)
    return file.getvalue()


_EACH = dict(zip(_NAMES, _VALUES.T, strict=True))


@pytest.mark.parametrize(
    ("arrays", "rate_hz"),
    [
        (_EACH, None),
        ({**_EACH, "time": _TIMES}, 50),
        ({name: column[:, None] for name, column in _EACH.items()} | {"fps": 50}, 50),
        ({f"ARBlendShapeLocation{n[0].upper()}{n[1:]}": c for n, c in _EACH.items()}, None),
        ({"values": _VALUES, "names": _NAMES, "time": np.array(_TIMES)[:, None]}, 50),
        ({"data": _VALUES, "names": _NAMES}, None),
        ({"arr_0": _VALUES, "names": _NAMES, "hz": 50}, 50),
        ({"values": np.c_[_TIMES, _VALUES], "names": ("time", *_NAMES)}, 50),
    ],
)
def test_every_form_of_an_archive_is_read(
    tmp_path: Path, arrays: dict[str, Any], rate_hz: float | None
) -> None:
    """One array a channel is what `**columns` saves."""
    track = _read(tmp_path / "x.npz", _npz(**arrays))
    _check(track, rate_hz)
    assert track.notes == ()


def test_a_single_array_without_a_name_is_the_motion(tmp_path: Path) -> None:
    """`np.savez(path, array)` calls it `arr_0`."""
    motion = np.random.default_rng(1).random((_N, 52), dtype=np.float32)
    file = io.BytesIO()
    np.savez(file, motion)
    np.testing.assert_array_equal(_read(tmp_path / "x.npz", file.getvalue()).values, motion)
    track = _read(tmp_path / "x.npz", _npz(motion=motion, arr_0=motion[:3]))
    np.testing.assert_array_equal(track.values, motion)
    assert track.notes == ("arrays that are no part of it left out: arr_0",)


def test_arrays_that_nobody_reads_are_noted(tmp_path: Path) -> None:
    """A key that is nearly known would else be missed by nobody."""
    content = _npz(values=np.zeros((3, 52)), frame=np.arange(3), mood=np.zeros(3))
    track = _read(tmp_path / "x.npz", content)
    assert track.notes == ("arrays that are no part of it left out: mood",)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"jawOpen": np.zeros(3), "jawLeft": np.zeros(4)},
            "`jawLeft` must be numbers of shape (3,)",
        ),
        ({"jawOpen": np.zeros(3), "jawLeft": ["a"] * 3}, "`jawLeft` must be numbers of shape (3"),
        ({"jawOpen": np.zeros(0)}, "must hold 1 to 900000 frames, got 0"),
        ({"jawOpn": np.zeros(3), "jawLeft": np.zeros(3)}, "unknown: jawOpn; did you mean jawOpen?"),
        ({"arr_0": np.zeros((3, 52)), "data": np.zeros((3, 52))}, "got ['data', 'arr_0']"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    """Channels of different lengths are two takes."""
    path = tmp_path / "x.npz"
    path.write_bytes(_npz(**arrays))
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(message)):
        read_track(path)


_KINDS: list[Any] = [("time", "<f8"), ("jawOpen", "<f4"), ("mouthSmileLeft", "<f4")]
_KINDS += [("eyeBlinkRight", "<f4")]


@pytest.mark.parametrize(
    ("kinds", "columns"),
    [
        (_KINDS, {"time": _TIMES, **_EACH}),
        ([("time", "<i8"), *_KINDS[1:]], {"time": np.arange(_N) * 20, **_EACH}),
        ([("time", "M8[ms]"), *_KINDS[1:]], {"time": np.arange(_N) * 20, **_EACH}),
        ([*_KINDS[1:], ("fps", "<i4")], {"fps": 50, **_EACH}),
        ([_KINDS[0], ("bs", _KINDS[1:])], {"time": _TIMES, "bs": None}),
    ],
)
def test_records_are_read_by_their_fields(
    tmp_path: Path, kinds: list[Any], columns: dict[str, Any]
) -> None:
    """NumPy's own table with names was no array of numbers."""
    if columns.get("bs", 0) is None:
        columns = {**columns, "bs": np.array([tuple(row) for row in _ROWS], _KINDS[1:])}
    content = _records(kinds, columns)
    track = _read(tmp_path / "x.npy", content)
    _check(track, 50)
    records = np.load(io.BytesIO(content))
    _check(_read(tmp_path / "x.npz", _npz(arr_0=records)), 50)
    for wrong in (content[:-4], content + b"0"):
        (tmp_path / "x.npy").write_bytes(wrong)
        message = f"bytes for 20 records, got {len(wrong)}; copy or export it again"
        for use in (read_track, measure_track):
            with pytest.raises(InputError, match=re.escape(message)):
                use(tmp_path / "x.npy")


def test_a_record_may_hold_a_whole_row(tmp_path: Path) -> None:
    """Then it has the keys of an archive."""
    kinds = [("time", "<f8"), ("weights", "<f4", (52,)), ("quality", "<f4")]
    rows = np.random.default_rng(1).random((_N, 52), dtype=np.float32)
    track = _read(
        tmp_path / "x.npy", _records(kinds, {"time": _TIMES, "weights": rows, "quality": 1})
    )
    np.testing.assert_array_equal(track.values, rows)
    assert track.rate_hz == pytest.approx(50)
    assert track.quality is not None


@pytest.mark.parametrize("shape", [(0,), (2, 3), ()])
def test_records_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A table of records has two axes of frames."""
    np.save(tmp_path / "x.npy", np.zeros(shape, _KINDS))
    with pytest.raises(InputError, match=re.escape("must be records of shape (T,), ")):
        read_track(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "form",
    [
        "ARBlendShapeLocation{0}",
        "ARBlendShapeLocation.{1}",
        "ARFaceAnchor.BlendShapeLocation.{1}",
        "ARFaceAnchor_BlendShapeLocation_{1}",
        "ARKit.ARFaceAnchor.BlendShapeLocation.{2}",
        ".{1}",
        "weights/{1}",
        "value_{1}",
        "{1} (weight)",
        "blendShapes['{1}']",
    ],
)
def test_a_name_may_have_its_type_in_front(form: str) -> None:
    """Apple's languages put it there."""
    for place, name in enumerate(ARKIT_NAMES):
        apple = re.sub("(?<!jaw)(?<!mouth)(L|R)(?:ef|igh)t$", r"_\1", name)
        assert find_column(form.format(name[0].upper() + name[1:], name, apple)) == place
    assert not [spelling for spelling in _INDEX if _OBJECTS.search(spelling)]


@given(
    keys=st.lists(st.one_of(st.text("0123456789.:-tT_", max_size=30), st.just("fps")), max_size=5),
    value=st.sampled_from([{"jawOpen": 0.5}, [0.5], None, {"time": "1:2", "jawOpen": "0,5"}]),
)
def test_frames_by_any_key_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], value: Any
) -> None:
    """Keys are numbers, times and dates as anybody writes them."""
    path = tmp_path_factory.getbasetemp() / "keyed.json"
    path.write_text(json.dumps({"names": ["jawOpen"], **dict.fromkeys(keys, value)}))
    try:
        track = read_track(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert len(track.values)

"""Times without a unit, times as text, and stated rates: cross-checked in every format."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion import MotionTrack, measure_track, read_track
from esarm_env.corpus.motion.stamps import Stamps, claimed_rate

_N = 40
_JAW = np.linspace(0, 1, _N).round(3)
_SECONDS = np.arange(_N) / 50


def _read(path: Path, content: str | bytes) -> MotionTrack:
    """Write and read a file; measuring must tell what reading does."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    track, extent = read_track(path), measure_track(path)
    assert extent.n_frames == len(track.values)
    if track.time_s is None or not track.time_s[-1]:
        assert extent.rate_hz is None
    else:
        mean_hz = (extent.n_frames - 1) / (track.time_s[-1] - track.time_s[0])
        assert extent.rate_hz == pytest.approx(mean_hz)
    return track


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _in_csv(folder: Path, key: str, cells: list[Any]) -> MotionTrack:
    rows = [f'"{cell}",{jaw}' for cell, jaw in zip(cells, _JAW, strict=True)]
    return _read(folder / "x.csv", "\n".join([f"{key},jawOpen", *rows]))


def _in_json(folder: Path, key: str, cells: list[Any]) -> MotionTrack:
    frames = [{key: cell, "jawOpen": jaw} for cell, jaw in zip(cells, _JAW, strict=True)]
    return _read(folder / "x.json", json.dumps(frames))


def _in_columns(folder: Path, key: str, cells: list[Any]) -> MotionTrack:
    return _read(folder / "x.json", json.dumps({key: cells, "jawOpen": _JAW.tolist()}))


def _in_lines(folder: Path, key: str, cells: list[Any]) -> MotionTrack:
    frames = [{key: cell, "jawOpen": jaw} for cell, jaw in zip(cells, _JAW, strict=True)]
    return _read(folder / "x.jsonl", "\n".join(map(json.dumps, frames)))


def _in_npz(folder: Path, key: str, cells: list[Any]) -> MotionTrack:
    return _read(
        folder / "x.npz", _npz(values=_JAW[:, None], names=["jawOpen"], **{key: np.array(cells)})
    )


_FORMATS: dict[str, Callable[[Path, str, list[Any]], MotionTrack]] = {
    "csv": _in_csv,
    "json": _in_json,
    "columns": _in_columns,
    "lines": _in_lines,
    "npz": _in_npz,
}


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")],
)
@pytest.mark.parametrize("key", ["time", "timestamp"])
@pytest.mark.parametrize("start_s", [0.0, 1_700_000_000.0])
@pytest.mark.parametrize("kind", _FORMATS)
def test_the_unit_of_times_shows_in_their_steps(
    tmp_path: Path, kind: str, key: str, factor: float, unit: str, start_s: float
) -> None:
    """A step of 20 is no second of a tracker's; refused, the take is lost for a missing `_ms`."""
    cells = np.round((start_s + _SECONDS) * factor).astype(np.int64).tolist()
    track = _FORMATS[kind](tmp_path, key, cells)
    np.testing.assert_allclose(track.time_s, _SECONDS, atol=1e-6)
    assert track.notes == (f"times taken for {unit}, as a frame steps by {0.02 * factor:.4g}",)


@pytest.mark.parametrize("step", [1.0, 2.0, 600.0, 5e9, 1e-4])
@pytest.mark.parametrize("kind", _FORMATS)
def test_times_that_no_unit_explains_are_refused(tmp_path: Path, kind: str, step: float) -> None:
    """A step of 1 counts frames, one of 2 every second frame; at a guess the take plays wrong."""
    message = f"got times of which a frame steps by {step:.4g}; name their unit as in `time_ms`"
    with pytest.raises(InputError, match=re.escape(message)):
        _FORMATS[kind](tmp_path, "time", (np.arange(_N) * step).tolist())


def test_numbers_of_frames_need_the_rate(tmp_path: Path) -> None:
    """With it they are as good as times: a frame that was dropped is a gap."""
    times = np.delete(np.arange(_N + 1.0), 7)
    content = _npz(values=_JAW[:, None], names=["jawOpen"], time=times, fps=50)
    track = _read(tmp_path / "x.npz", content)
    np.testing.assert_allclose(track.time_s, times / 50)
    assert track.notes == ("times taken for numbers of frames, as a frame steps by 1",)


def test_a_unit_that_is_named_is_believed() -> None:
    """`time_s` in steps of 20 contradicts itself, and nobody knows which half is wrong."""
    values = np.arange(5) * 20.0
    everything = np.ones(5, dtype=np.bool_)
    assert Stamps.called("time_ms", values).seconds("x", everything)[0][1] == pytest.approx(0.02)
    assert Stamps.called("time_s", values).seconds("x", everything)[0][1] == 20.0
    assert Stamps.called("time", values).seconds("x", everything)[0][1] == pytest.approx(0.02)


_CLOCKS: dict[str, Callable[[float], str]] = {
    "ISO 8601": lambda s: f"2026-02-28T23:59:{59.5 + s:06.3f}Z" if s < 0.5 else _march(s),
    "clock": lambda s: f"12:00:{s:06.3f}",
    "clock past midnight": lambda s: f"23:59:{59.5 + s:06.3f}" if s < 0.5 else _past(s),
    "comma": lambda s: f"00:01:{s:06.3f}".replace(".", ","),
    "minutes": lambda s: f"3:{s:06.3f}",
    "pandas": lambda s: f"0 days 00:00:{s:09.6f}",
    "timecode": lambda s: f"01:02:0{3 + round(s * 50 + 30) // 50}:{round(s * 50 + 30) % 50:02}",
}


def _march(seconds: float) -> str:
    return f"2026-03-01T00:00:{seconds - 0.5:06.3f}+00:00"


def _past(seconds: float) -> str:
    return f"00:00:{seconds - 0.5:06.3f}"


@pytest.mark.parametrize("clock", _CLOCKS)
@pytest.mark.parametrize("kind", _FORMATS)
def test_times_may_be_text(tmp_path: Path, kind: str, clock: str) -> None:
    """Loggers write the time of day; the take was refused for it."""
    track = _FORMATS[kind](tmp_path, "timestamp", [_CLOCKS[clock](s) for s in _SECONDS.tolist()])
    assert track.time_s is not None
    np.testing.assert_allclose(track.time_s - track.time_s[0], _SECONDS, atol=1e-6)
    assert track.notes == ()


@pytest.mark.parametrize("kind", ["json", "columns", "lines", "npz"])
def test_numbers_of_time_may_be_text(tmp_path: Path, kind: str) -> None:
    """Some writers quote everything."""
    track = _FORMATS[kind](tmp_path, "time", [f"{s:.2f}" for s in _SECONDS])
    np.testing.assert_allclose(track.time_s, _SECONDS, atol=1e-9)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_timecode_may_be_a_date_and_time(tmp_path: Path, kind: str) -> None:
    """Then the table is no recording of Live Link Face, but one of clock times."""
    cells = [f"2026-05-01T12:00:{s:09.6f}" for s in _SECONDS]
    track = _FORMATS[kind](tmp_path, "Timecode", cells)
    np.testing.assert_allclose(track.time_s, _SECONDS, atol=1e-5)


def test_a_clock_time_that_cannot_be_read_costs_its_frame(tmp_path: Path) -> None:
    """One bad stamp among many is no reason to refuse them all."""
    cells = [f"12:00:{s:06.3f}" for s in _SECONDS]
    cells[4] = "12:00:61.000"
    track = _in_csv(tmp_path, "time", cells)
    assert track.notes == ("frames left out without a time: 1",)
    np.testing.assert_allclose(track.time_s, np.delete(_SECONDS, 4), atol=1e-6)


@pytest.mark.parametrize("kind", ["datetime64[us]", "datetime64[ns]", "timedelta64[ms]"])
def test_dates_of_numpy_are_times(tmp_path: Path, kind: str) -> None:
    """pandas has no other; one that is none costs its frame."""
    start = np.array(0 if kind.startswith("time") else "2026-05-01", kind)
    times = start + (np.arange(_N) * 20).astype("timedelta64[ms]")
    times[3] = np.array("NaT", times.dtype)
    content = _npz(values=_JAW[:, None], names=["jawOpen"], timestamp=times)
    track = _read(tmp_path / "x.npz", content)
    np.testing.assert_allclose(track.time_s, np.delete(_SECONDS, 3), atol=1e-6)
    assert track.notes == ("frames left out without a time: 1",)


_RATES: list[tuple[str, Any, float]] = [
    ("hz", 50, 50),
    ("sample_rate", 50.0, 50),
    ("samplingRate", 50, 50),
    ("rate", 50, 50),
    ("Frame Rate", 50, 50),
    ("frequency", 50, 50),
    ("fps", "50 fps", 50),
    ("fps", "30000/1001", 30000 / 1001),
    ("dt", 0.02, 50),
    ("frame_time", 20, 50),
]


@pytest.mark.parametrize(("key", "value", "rate_hz"), _RATES)
@pytest.mark.parametrize("place", ["npz", "document", "metadata", "header", "columns", "lines"])
def test_a_rate_is_known_in_every_spelling(
    tmp_path: Path, key: str, value: Any, rate_hz: float, place: str
) -> None:
    """`hz` was ignored in silence, and the take played at the rate of somebody's guess."""
    frames = [{"jawOpen": jaw} for jaw in _JAW]
    documents: dict[str, Any] = {
        "document": {key: value, "frames": frames},
        "metadata": {"metadata": {key: value}, "frames": frames},
        "header": {"Header": {key: value}, "frames": frames},
        "columns": {key: value, "jawOpen": _JAW.tolist()},
    }
    if place == "npz":
        content = _npz(values=_JAW[:, None], names=["jawOpen"], **{key: value})
        track = _read(tmp_path / "x.npz", content)
    elif place == "lines":
        lines = [{"names": ["jawOpen"], key: value}, *([jaw] for jaw in _JAW)]
        track = _read(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)))
    else:
        track = _read(tmp_path / "x.json", json.dumps(documents[place]))
    assert track.rate_hz == pytest.approx(rate_hz)
    assert track.notes == ()


@pytest.mark.parametrize("key", ["hz", "sample_rate", "rate", "fps", "dt"])
@pytest.mark.parametrize("value", [0.0, float("nan"), -30.0, 1000.0, "fast"])
def test_a_rate_that_is_none_is_refused_by_name(tmp_path: Path, key: str, value: Any) -> None:
    """Which of ten keys is wrong is what its owner must know."""
    message = "x.npz: frame rate must be 5 to 500 Hz, got "
    remedy = f" in `{key}`; correct it or take it out"
    content = _npz(values=np.zeros((3, 52)), **{key: value})
    with pytest.raises(InputError, match=f"{re.escape(message)}.*{re.escape(remedy)}"):
        _read(tmp_path / "x.npz", content)


def test_the_rate_of_a_sound_is_no_rate_of_frames(tmp_path: Path) -> None:
    """`sample_rate` beside motion often means the sound; that is noted, as it may be wrong."""
    content = _npz(values=np.zeros((3, 52)), sample_rate=16_000, fps=25)
    track = _read(tmp_path / "x.npz", content)
    assert track.rate_hz == pytest.approx(25)
    assert track.notes == ("`sample_rate` of 16000 Hz taken for the sound's",)


def test_rates_that_disagree_are_refused_by_name() -> None:
    """The first of two would be a guess; 29.97 and 30 are one."""
    assert claimed_rate("x", [("fps", 30), ("dt", 1 / 29.97), ("hz", None)]) == (30.0, ())
    message = "x: metadata.fps and hz must agree, got [30.0, 25.0]"
    with pytest.raises(InputError, match=re.escape(message)):
        claimed_rate("x", [("metadata.fps", 30), ("hz", 25)])


def test_a_column_of_the_rate_is_read_if_all_rows_agree(tmp_path: Path) -> None:
    """A measured one changes from row to row; it is left out and noted."""
    rows = "\n".join(f"50,{jaw}" for jaw in _JAW)
    assert _read(tmp_path / "x.csv", f"fps,jawOpen\n{rows}").rate_hz == pytest.approx(50)
    frames = [{"fps": 50, "jawOpen": jaw} for jaw in _JAW]
    assert _read(tmp_path / "x.json", json.dumps(frames)).rate_hz == pytest.approx(50)
    rows = "\n".join(f"{49 + i % 3},{jaw}" for i, jaw in enumerate(_JAW))
    track = _read(tmp_path / "x.csv", f"fps,jawOpen\n{rows}")
    assert track.rate_hz is None
    assert track.notes == ("columns that are no shapes left out: fps",)

"""Mutated motion files: each is read, or refused by one line; nothing else may come out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import find_takes
from esarm_env.corpus.motion import measure_track, read_track
from esarm_env.corpus.offsets import read_offsets
from esarm_env.face import ARKIT_NAMES, ORDERS, read_livelink_csv, write_livelink_csv
from esarm_env.face.names import shape_columns

_N = 12
_MOTION = np.random.default_rng(3).random((_N, 52), dtype=np.float32)


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, _MOTION)
    return file.getvalue()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(
        file, values=_MOTION, names=np.array(ARKIT_NAMES), time_s=np.arange(_N) / 30, fps=30
    )
    return file.getvalue()


def _csv() -> bytes:
    lines = [f"time_s,quality,{','.join(ARKIT_NAMES)}"]
    lines += [
        f"{i / 30:.4f},1,{','.join(f'{v:.3f}' for v in row)}" for i, row in enumerate(_MOTION)
    ]
    return "\n".join(lines).encode()


def _beat() -> bytes:
    frames = [{"weights": row[:51].tolist(), "time": i / 30} for i, row in enumerate(_MOTION)]
    return json.dumps({"names": ORDERS["beat"], "frames": frames}).encode()


def _audio2face() -> bytes:
    document = {"exportFps": 30.0, "facsNames": ORDERS["unreal"], "weightMat": _MOTION.tolist()}
    return json.dumps(document).encode()


def _named() -> bytes:
    frames = [
        {"time": i / 30, "blendShapes": dict(zip(ARKIT_NAMES, row.tolist(), strict=True))}
        for i, row in enumerate(_MOTION)
    ]
    return json.dumps({"fps": 30, "frames": frames}).encode()


def _keyed() -> bytes:
    frames = {
        f"00:00:{i / 30:06.3f}": dict(zip(ARKIT_NAMES, map(str, row.tolist()), strict=True))
        for i, row in enumerate(_MOTION)
    }
    return json.dumps({"sample_rate": 30, "frames": frames}).encode()


def _numbered() -> bytes:
    frames = {str(i): row.tolist() for i, row in enumerate(_MOTION)}
    return json.dumps({"names": ARKIT_NAMES, **frames}).encode()


def _lines() -> bytes:
    frames = [
        {"time": i * 33, **dict(zip(ARKIT_NAMES, row.tolist(), strict=True))}
        for i, row in enumerate(_MOTION)
    ]
    return "\n".join(map(json.dumps, frames)).encode()


def _records() -> bytes:
    records = np.zeros(_N, [("timestamp", "M8[ms]"), ("hz", "<f4"), ("bs", "<f4", (52,))])
    records["timestamp"], records["hz"] = np.arange(_N) * 33, 30
    records["bs"] = _MOTION
    file = io.BytesIO()
    np.save(file, records)
    return file.getvalue()


def _channels() -> bytes:
    file = io.BytesIO()
    columns = dict(zip(ARKIT_NAMES, _MOTION.T, strict=True))
    np.savez(file, time=[f"12:00:{i / 30:06.3f}" for i in range(_N)], dt=1 / 30, **columns)
    return file.getvalue()


def _clocks() -> bytes:
    lines = [f"time;fps;{';'.join(ARKIT_NAMES)}"]
    lines += [
        f"2026-05-01T12:00:{i / 30:06.3f}Z;30;{';'.join(f'{v:.3f}' for v in row)}"
        for i, row in enumerate(_MOTION)
    ]
    return "\n".join(lines).encode()


def _livelink(path: Path) -> bytes:
    write_livelink_csv(path / "whole.csv", _MOTION)
    return (path / "whole.csv").read_bytes()


# What takes the place of a few bytes: separators, brackets, numbers at their ends, other kinds.
_PIECES = st.sampled_from(
    [
        *(b",;\n\":{}[]-.\0\xff'#").split(),
        *(b"\n", b"\0", b",,", b";", b'"', b"[]", b"{}", b"null", b"true", b"NaN", b"Infinity"),
        *(
            b"1e999",
            b"-1",
            b"9" * 400,
            b"1_0",
            b"0,5",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\r",
            b"\x1c",
        ),
        *(
            b"time",
            b"names",
            b"frames",
            b"jawOpen",
            b"(-1, 52)",
            b"(90, 10**9)",
            b"|O",
            b"<U9",
            b"'",
        ),
    ]
)
_CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.integers(0, 12), st.one_of(_PIECES, st.binary())
    ),
    min_size=1,
    max_size=4,
)


def _mutated(content: bytes, changes: list[tuple[float, int, bytes]], kept: float) -> bytes:
    """Return the content with bytes replaced at some places, and maybe cut."""
    for place, length, piece in changes:
        at = int(place * len(content))
        content = content[:at] + piece + content[at + length :]
    return content[: int(len(content) * kept)]


_KEPT = st.one_of(st.just(1.0), st.floats(0, 1))


@pytest.mark.parametrize(
    ("suffix", "whole"),
    [
        (".npy", _npy),
        (".npz", _npz),
        (".csv", _csv),
        (".json", _beat),
        (".json", _audio2face),
        (".json", _named),
        (".json", _keyed),
        (".json", _numbered),
        (".jsonl", _lines),
        (".npy", _records),
        (".npz", _channels),
        (".csv", _clocks),
    ],
)
def test_a_mutated_file_is_read_or_refused_in_one_line(
    tmp_path: Path, suffix: str, whole: Callable[[], bytes]
) -> None:
    """One changed byte ended the opening of a corpus of thousands in a traceback."""
    content, path = whole(), tmp_path / f"x{suffix}"

    @given(changes=_CHANGES, kept=_KEPT)
    def check(changes: list[tuple[float, int, bytes]], kept: float) -> None:
        path.write_bytes(_mutated(content, changes, kept))
        for use in (measure_track, read_track):
            try:
                use(path)
            except InputError as error:
                assert str(error).startswith(f"{path}: ")
                assert len(str(error)) < 4000

    check()


def test_the_head_of_a_mutated_array_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """Its header is Python, in which a few bytes say anything."""
    content, path = _npy(), tmp_path / "x.npy"

    @given(changes=_CHANGES)
    def check(changes: list[tuple[float, int, bytes]]) -> None:
        path.write_bytes(_mutated(content[:128], changes, 1.0) + content[128:])
        try:
            read_track(path)
        except InputError as error:
            assert str(error).startswith(f"{path}: ")

    check()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mutated_recording_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """Its two readers share a table and differ in what they forgive."""
    content, path = _livelink(tmp_path), tmp_path / "x.csv"

    @given(changes=_CHANGES, kept=_KEPT)
    def check(changes: list[tuple[float, int, bytes]], kept: float) -> None:
        path.write_bytes(_mutated(content, changes, kept))
        for use in (measure_track, read_track, read_livelink_csv):
            try:
                use(path)
            except InputError as error:
                assert str(error).startswith(f"{path}: ")

    check()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "metadata.csv",
            b'id,speaker,emotion,intensity,text\na,Anna,sad,2,"Oh, no"\nb,Ben,happy,1,\n',
        ),
        ("offsets.csv", b"id,offset_s\na,0.1\nb,-0.25\n"),
    ],
)
def test_a_mutated_table_of_a_corpus_is_read_or_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """Both lie in a corpus folder and are edited by hand."""
    for path in ("audio/a.wav", "audio/b.wav", "blendshape/a.csv", "blendshape/b.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()

    @given(changes=_CHANGES, kept=_KEPT)
    def check(changes: list[tuple[float, int, bytes]], kept: float) -> None:
        (tmp_path / name).write_bytes(_mutated(content, changes, kept))
        for use in (find_takes, read_offsets):
            try:
                use(tmp_path)
            except InputError as error:
                assert str(tmp_path) in str(error)

    check()


@given(names=st.lists(st.one_of(st.sampled_from(ARKIT_NAMES), st.text(max_size=12)), max_size=6))
def test_any_names_are_sorted_or_refused_in_one_line(names: list[str]) -> None:
    """Headers come from everywhere."""
    try:
        found = shape_columns(names)
    except InputError as error:
        assert str(error).startswith("`header` must ")
    else:
        assert 1 <= len(found.places) <= len(names)

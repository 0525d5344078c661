"""glTF container: the JSON document of a `.glb`, `.vrm` or `.gltf` file, and its buffers.

Read by hand, as files come from strangers (glTF 2.0 specification, sections 3.6.1 and 4): whatever
is declared is checked before memory is taken for it, nothing is fetched, and no buffer is read from
outside the folder of the file. All faults are a `ValueError` that says what was found.
"""

from __future__ import annotations

import base64
import json
import re
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeGuard
from urllib.parse import unquote

import numpy as np

Object = Mapping[str, Any]

MAGIC = b"glTF"
SUFFIXES = (".glb", ".gltf", ".vrm")

_VERSION, _HEADER, _CHUNK = 2, 12, 8
_JSON, _BINARY = b"JSON", b"BIN\0"
_DATA_URI = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


class GltfDocument:
    """A glTF document: JSON objects by list and index, and bytes by buffer."""

    def __init__(self, content: Object, blob: bytes | None, folder: Path) -> None:
        """Take the parsed JSON, the binary chunk of a `.glb` file, and the folder of the file."""
        self.content, self._blob, self._folder = content, blob, folder
        self._read: dict[object, bytes] = {}
        self._lists: dict[str, list[Object]] = {}

    def items(self, key: str) -> list[Object]:
        """Return a list of objects, `nodes` for instance; empty if the document has none."""
        if key not in self._lists:
            self._lists[key] = objects_in(self.content, key)
        return self._lists[key]

    def item(self, key: str, index: object, *, kind: str) -> Object:
        """Return one object of the list `key`; `kind` is what it is, for messages."""
        found = self.items(key)
        if not _is_whole(index) or not 0 <= index < len(found):
            raise ValueError(f"no {kind} {_shown(index)}")
        return found[index]

    def buffer(self, index: object) -> memoryview:
        """Return a buffer: of the file itself, of a data URI, or of a file beside it."""
        found = self.item("buffers", index, kind="buffer")
        length = whole(found, "byteLength")
        data = self._data(found)
        if length < 1 or length > len(data):
            raise ValueError(f"a buffer of {len(data)} bytes that says it has {length}")
        return memoryview(data)[:length]

    def _data(self, buffer: Object) -> bytes:
        """Return the bytes that a buffer lies in."""
        uri = buffer.get("uri")
        if uri is None:
            if self._blob is None:
                raise ValueError("a buffer without data")
            return self._blob
        if not isinstance(uri, str):
            raise ValueError(f"a buffer at {_shown(uri)}")
        head = _DATA_URI.match(uri[:1000])
        place: object = uri if head else self._file_beside(uri)
        if place not in self._read:
            self._read[place] = (
                base64.b64decode(uri[head.end() :], validate=True)
                if head
                else Path(str(place)).read_bytes()
            )
        return self._read[place]

    def _file_beside(self, uri: str) -> str:
        """Return the path of a buffer's file, in the folder of the document or below."""
        name = unquote(uri)
        if ":" in name or "\\" in name or "\0" in name or name.startswith("/"):
            raise ValueError(f"a buffer at {_shown(uri)}; save it in the file, or beside it")
        folder = self._folder.resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f"a buffer at {_shown(uri)}, outside of the folder of the file")
        if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"a buffer without data ({_shown(uri)})")
        return str(path)


def read_document(path: Path) -> GltfDocument:
    """Read a glTF file; which of both forms it has is told by its first bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no glTF file, or part of one.
    """
    if not path.is_file():
        raise ValueError("a folder" if path.is_dir() else "no such file")
    data = path.read_bytes()
    text, blob = _chunks(data) if data[:4] == MAGIC else (data, None)
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"text that is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__} instead of an object")
    return GltfDocument(content, blob, path.parent)


def _chunks(data: bytes) -> tuple[bytes, bytes | None]:
    """Return the JSON and the binary chunk of a `.glb` file."""
    if len(data) < _HEADER + _CHUNK:
        raise ValueError(f"the first {len(data)} bytes of a file")
    version, length = struct.unpack_from("<II", data, 4)
    if version != _VERSION:
        raise ValueError(f"glTF of version {version} where {_VERSION} is needed")
    if length > len(data):
        raise ValueError(f"the first {len(data)} of {length} bytes")
    found: dict[bytes, bytes] = {}
    place = _HEADER
    while place + _CHUNK <= length and len(found) < 2:
        (size,) = struct.unpack_from("<I", data, place)
        kind = data[place + 4 : place + _CHUNK]
        end = place + _CHUNK + size
        if end > length:
            raise ValueError(f"a chunk of {size} bytes beyond the end of the file")
        if not found and kind != _JSON:
            raise ValueError(f"a first chunk of kind {kind!r} instead of {_JSON!r}")
        if kind in (_JSON, _BINARY):
            found.setdefault(kind, data[place + _CHUNK : end])
        place = end
    if _JSON not in found:
        raise ValueError("a file without a JSON chunk")
    return found[_JSON], found.get(_BINARY)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"the number {text}")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """Return a value for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def objects_in(owner: Object, key: str) -> list[Object]:
    """Return the list of objects `key` of an object; empty if there is none."""
    found = owner.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"`{key}` that is no list of objects")
    return found


def object_in(owner: Object, key: str) -> Object:
    """Return the object `key` of an object; an empty one if there is none."""
    found = owner.get(key)
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"`{key}` that is no object")
    return found or {}


def whole(owner: Object, key: str, default: int | None = None) -> int:
    """Return the whole number `key` of an object, at least 0."""
    value = owner.get(key, default)
    if not _is_whole(value) or value < 0:
        raise ValueError(f"`{key}` {_shown(value)} where a whole number is needed")
    return int(value)


def wholes(owner: Object, key: str) -> list[int]:
    """Return the list of whole numbers `key` of an object; empty if there is none."""
    found = owner.get(key) or []
    if not isinstance(found, list) or not all(_is_whole(item) for item in found):
        raise ValueError(f"`{key}` that is no list of whole numbers")
    return found


def floats(owner: Object, key: str, default: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers `key` of an object, as many as `default` has."""
    found = owner.get(key)
    if found is None:
        found = default
    fits = isinstance(found, list) and len(found) == len(default)
    if not fits or not all(isinstance(x, float) or _is_whole(x) for x in found):
        raise ValueError(f"`{key}` {_shown(found)} where {len(default)} numbers are needed")
    return np.array([float(x) for x in found])

"""Speech that was dropped, recorded or chosen: 16 kHz mono, limited in bytes and seconds."""

from __future__ import annotations

import io
import secrets
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from starlette.requests import Request

    from esarm_env.core.types import FloatArray

MOST_BYTES = 128 * 2**20
_KEPT = 32


class TooLargeError(InputError):
    """An upload has more bytes than are taken."""


@dataclass(frozen=True, eq=False)
class Sound:
    """Speech that can be animated.

    Attributes:
        id: By which the page asks for it.
        name: Of the file, for people.
        audio: Shape (n_samples,), float32, at 16 kHz.
        notes: What the reader of the file noticed, a line each.
    """

    id: str
    name: str
    audio: FloatArray
    notes: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.audio) / SAMPLE_RATE_HZ

    def to_dict(self) -> dict[str, object]:
        """Return what the page is told."""
        told = {"id": self.id, "name": self.name, "duration_s": round(self.duration_s, 3)}
        return {**told, "notes": list(self.notes)}

    def wave(self) -> bytes:
        """Return it as a WAV file of 16 bits."""
        import soundfile  # heavy, as elsewhere

        file, samples = io.BytesIO(), np.clip(self.audio, -1.0, 1.0)
        soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
        return file.getvalue()


class Sounds:
    """The newest sounds; the oldest are forgotten."""

    def __init__(self) -> None:
        self._sounds: OrderedDict[str, Sound] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, audio: FloatArray, notes: tuple[str, ...] = ()) -> Sound:
        """Keep samples (n,) at 16 kHz under a new id."""
        sound = Sound(secrets.token_hex(8), name, audio, notes)
        with self._lock:
            self._sounds[sound.id] = sound
            while len(self._sounds) > _KEPT:
                self._sounds.popitem(last=False)
        return sound

    def get(self, sound_id: str) -> Sound:
        """Return a sound.

        Raises:
            KeyError: If there is none of that id, or it was forgotten.
        """
        with self._lock:
            self._sounds.move_to_end(sound_id)
            return self._sounds[sound_id]

    def read(self, path: Path, *, name: str) -> Sound:
        """Read a file of this machine.

        Raises:
            InputError: If it holds no speech of 0.2 s to 10 min.
            MissingExtraError: If it is a video and PyAV is absent.
        """
        from esarm_env.audio import read_audio

        notes: list[str] = []
        try:
            audio = read_audio(path, on_note=notes.append)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from error
        return self.add(name, audio, tuple(note.replace(str(path), name) for note in notes))

    def read_bytes(self, body: Path, *, name: str) -> Sound:
        """Read an upload that lies at `body`, of a file that was called `name`."""
        return self.read(body, name=name)


def plain_name(given: str) -> str:
    """Return the last part of a file's name, without what is no letter of a name."""
    name = PurePath(given.replace("\\", "/")).name
    return "".join(c if c.isprintable() else "_" for c in name)[:120] or "recording"


async def receive(request: Request, folder: Path, *, name: str) -> Path:
    """Write the body of a request to a file, and return its path.

    Args:
        request: A POST whose body is the file.
        folder: Of temporary files.
        name: Of the file, whose suffix is kept.

    Raises:
        TooLargeError: If it has more than `MOST_BYTES`.
        InputError: If it is empty.
    """
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated[:15]) > MOST_BYTES:
        raise _too_large(name, int(stated[:15]))
    suffix = "".join(
        c for c in PurePath(name).suffix[:12] if c.isascii() and (c.isalnum() or c == ".")
    )
    with tempfile.NamedTemporaryFile(dir=folder, suffix=suffix, delete=False) as file:
        path, size = Path(file.name), 0
        try:
            async for piece in request.stream():
                size += len(piece)
                if size > MOST_BYTES:
                    raise _too_large(name, size)
                file.write(piece)
            if not size:
                raise InputError(f"{name}: must be a sound file, got 0 bytes")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path


def _too_large(name: str, size: int) -> TooLargeError:
    return TooLargeError(
        f"{name}: must have at most {MOST_BYTES // 2**20} MB, got {size / 2**20:.0f} MB or more; "
        "cut it, or convert it to FLAC or MP3"
    )

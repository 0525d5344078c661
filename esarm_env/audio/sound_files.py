"""libsndfile decoder: sound files in blocks, each joined part of a file to its true end."""

from __future__ import annotations

import collections
import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from esarm_env.audio.sample_heads import LOST_S, is_sized
from esarm_env.audio.sound_parts import Part, PartFile, behind_tags, parts_of
from esarm_env.core.errors import InputError, one_line
from esarm_env.formats.files import check_regular

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

# Telephones have 8 kHz, studios 192 kHz. Beyond lies what no resampler is made for, and room for
# gigabytes in a file of a few seconds.
LEAST_RATE_HZ, MOST_RATE_HZ = 4_000, 384_000
_BLOCK = 1 << 20  # samples of all channels that are decoded at once
_UNKNOWN = 1 << 50  # frames: what libsndfile says where a header does not tell
# What begins so is FFmpeg's: libsndfile would look for MP3 in AAC, or for nothing.
_FFMPEG_MAGIC = (b"\x1aE\xdf\xa3", b"0&\xb2u", b"FLV\x01", b"\0\0\x01\xba", b"#!AMR")
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


class UnknownFormatError(InputError):
    """libsndfile does not know what is in a file."""


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """A sound file that is read from front to end: some formats cannot seek."""

    def seekable(self) -> bool:
        """Return False: `read` then gives what comes next and looks for no end."""
        return False


@contextlib.contextmanager
def open_file(path: Path, *, kind: str = "sound file") -> Iterator[io.FileIO]:
    """Open a file of any name for reading.

    Args:
        path: The file.
        kind: What it should be, for messages.

    Raises:
        InputError: If it is no regular file, is empty or cannot be read.
    """
    try:
        if not os.path.lexists(path):
            raise InputError(f"{path}: no such file; give the path of a {kind}")
        if check_regular(path, f"a {kind}", missing="no such file behind its link") == 0:
            raise InputError(f"{path}: must hold audio, got an empty file (0 bytes)")
        file = path.open("rb", buffering=0)  # a decoder reads it behind our back
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or one_line(error)
        raise InputError(f"{path}: must be a readable {kind}, got {reason}") from error
    with file:
        yield file


def is_for_ffmpeg(file: io.FileIO) -> bool | None:
    """Return whether a file's first bytes are those of a format that only FFmpeg reads.

    None where they tell nothing, so that the suffix decides.
    """
    head = _head_behind_tags(file)
    if head.startswith(_FFMPEG_MAGIC) or head[4:8] in _BOXES:
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return True
    if head[0:1] == b"\xff" and head[1:2] and head[1] & 0xF6 == 0xF0:
        return True  # AAC in frames, of which libsndfile thinks that they are MP3
    if head[:1] == b"G" and head[188:189] == b"G":
        return True  # MPEG transport stream
    is_mp3 = head[0:1] == b"\xff" and head[1:2] and head[1] & 0xE6 in (0xE2, 0xE4)
    return False if is_sized(head) or head[:4] in (b"OggS", b"fLaC") or is_mp3 else None


def _head_behind_tags(file: io.FileIO) -> bytes:
    file.seek(behind_tags(file))
    return file.read(200)


def measure_file(file: io.FileIO, path: Path, *, longest_s: float) -> tuple[float, tuple[str, ...]]:
    """Return the duration of a sound file in seconds by its corrected headers, and what it lacks.

    A part that seems cut is decoded to know, unless the file is longer than `longest_s` anyway.

    Raises:
        InputError: If libsndfile cannot open it, a header states an unlikely rate, or less is
            there than it states.
    """
    total_s, parts = 0.0, parts_of(file, path)
    for part in parts:
        with _opened(file, path, part) as stream:
            n_frames = stream.frames
            if n_frames >= _UNKNOWN:  # a stream in a format that is not walked: counted
                n_frames = sum(len(block) for block in _blocks_of(stream, path))
            total_s += n_frames / stream.samplerate
    for part in parts:
        if part.seems_cut and total_s <= longest_s:
            collections.deque(_blocks_of_part(file, path, part), maxlen=0)
    return total_s, tuple(part.lack for part in parts if part.lack)


def read_blocks(file: io.FileIO, path: Path) -> Iterator[tuple[FloatArray, int]]:
    """Yield samples (n, channels), float32, and their rate in Hz, block by block.

    Raises:
        InputError: If libsndfile cannot decode the file, a header states an unlikely rate, or
            less is there than it states.
    """
    for part in parts_of(file, path):
        yield from _blocks_of_part(file, path, part)


def _blocks_of_part(file: io.FileIO, path: Path, part: Part) -> Iterator[tuple[FloatArray, int]]:
    """Yield the samples of one part, and raise an error if less is there than it states."""
    with _opened(file, path, part) as stream:
        n_frames = 0
        for block in _blocks_of(stream, path):
            n_frames += len(block)
            yield block, stream.samplerate
        missing = stream.frames - n_frames
        if stream.frames < _UNKNOWN and missing > LOST_S * stream.samplerate:
            raise InputError(
                f"{path}: must be whole, got {n_frames / stream.samplerate:.2f} s of the "
                f"{stream.frames / stream.samplerate:.2f} s that its header states; copy or "
                "export it again"
            )


def _blocks_of(stream: _Stream, path: Path) -> Iterator[FloatArray]:
    size = max(1, _BLOCK // stream.channels)
    while True:
        try:
            block: FloatArray = stream.read(size, dtype="float32", always_2d=True)
        except _DECODER_ERRORS as error:
            raise InputError(
                f"{path}: must be whole audio, got {_reason(error)}; play it to see whether it is "
                "damaged"
            ) from error
        if not len(block):
            return
        yield block


def _reason(error: Exception) -> str:
    """Return what libsndfile says, without the file that it was handed."""
    return str(getattr(error, "error_string", "")) or one_line(error)


# What soundfile raises beside its own about files that are no sound, or of an odd kind.
_DECODER_ERRORS = (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError)


@contextlib.contextmanager
def _opened(file: io.FileIO, path: Path, part: Part) -> Iterator[_Stream]:
    """Open a part of a sound file, and check what its header states."""
    is_whole = not part.head and part.begin == 0 and part.end == file.seek(0, io.SEEK_END)
    # By its descriptor, since a name may be one that libsndfile cannot take, or takes for a format.
    source = file.fileno() if is_whole else io.BufferedReader(PartFile(file, part))
    file.seek(0)
    try:
        stream = _Stream(source, closefd=False)
    except _DECODER_ERRORS as error:
        raise UnknownFormatError(
            f"{path}: must be audio that libsndfile reads (WAV, FLAC, Ogg, MP3), "
            f"got {_reason(error)}"
        ) from error
    with stream:
        if not LEAST_RATE_HZ <= stream.samplerate <= MOST_RATE_HZ:
            raise InputError(
                f"{path}: sample rate must be {LEAST_RATE_HZ} to {MOST_RATE_HZ} Hz, "
                f"got {stream.samplerate}; is its header damaged?"
            )
        yield stream

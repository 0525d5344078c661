"""Ogg streams that say nothing of when they were made."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import soundfile

from esarm_env.corpus.compact.speech import normalised


@pytest.fixture(scope="module")
def stream() -> bytes:
    """Return half a second of noise as libsndfile writes it."""
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="OGG", subtype="OPUS")
    return file.getvalue()


def test_the_serial_number_is_ours_on_every_page(stream: bytes) -> None:
    """libsndfile draws it from the clock: the same corpus would have another hash every second."""
    made = normalised(stream, serial=7)
    pages = [match.start() for match in re.finditer(b"OggS", made)]
    assert len(pages) >= 3
    assert {made[page + 14 : page + 18] for page in pages} == {b"\x07\0\0\0"}
    assert normalised(made, serial=7) == made, "what is normalised already must stay"


def test_the_empty_comments_are_gone(stream: bytes) -> None:
    """800 bytes an utterance are a tenth of the corpus."""
    made = normalised(stream, serial=1)
    assert len(stream) - len(made) > 700
    tags = made.index(b"OpusTags")
    vendor = int.from_bytes(made[tags + 8 : tags + 12], "little")
    assert made[tags + 12 + vendor :].startswith(b"\0\0\0\0OggS")


def test_the_sound_is_untouched(stream: bytes) -> None:
    """libogg drops pages whose checksum is wrong, without a word."""
    before, _ = soundfile.read(io.BytesIO(stream), dtype="int16")
    after, _ = soundfile.read(io.BytesIO(normalised(stream, serial=123)), dtype="int16")
    assert len(after) == 8000
    np.testing.assert_array_equal(after, before)


def test_what_is_no_stream_is_rejected(stream: bytes) -> None:
    """A cut stream would be chained to the next one."""
    with pytest.raises(ValueError, match=re.escape("`stream` must be Ogg pages, got b'RIFF' at")):
        normalised(b"RIFF" + bytes(40), serial=1)
    message = f"`stream` must hold whole Ogg pages, got {len(stream) - 1} bytes"
    with pytest.raises(ValueError, match=re.escape(message)):
        normalised(stream[:-1], serial=1)

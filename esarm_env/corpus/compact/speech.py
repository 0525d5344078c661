"""Speech as Ogg Opus by libsndfile: a tenth of FLAC's size, to the sample as long as before."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

from esarm_env.corpus.compact.ogg import normalised
from esarm_env.types import SAMPLE_RATE_HZ, FloatArray

# 18 kbit/s. On 240 utterances the greedy clone's LVE was 0.02 to 0.16 mm off what it was on the
# original sound, and no nearer with 23 kbit/s; with 11 kbit/s 0.08 to 0.25 mm.
COMPRESSION = 0.95


def encode_speech(audio: FloatArray, *, serial: int) -> bytes:
    """Return `audio` (n_samples,) at 16 kHz as one Ogg Opus stream; equal input, equal bytes.

    Args:
        audio: In [-1, 1].
        serial: Number of the stream, unique within a chained file.
    """
    stream = io.BytesIO()
    soundfile.write(
        stream,
        audio,
        SAMPLE_RATE_HZ,
        format="OGG",
        subtype="OPUS",
        compression_level=COMPRESSION,
    )
    return normalised(stream.getvalue(), serial=serial)


def decode_speech(stream: bytes) -> npt.NDArray[np.int16]:
    """Return the samples (n_samples,) of one Ogg Opus stream, at 16 kHz.

    In 16 bits: that is finer than what Opus leaves of the sound, and rounds away the last bits,
    which depend on the processor.

    Raises:
        soundfile.SoundFileError: If it is damaged.
        ValueError: If it is of another rate or not mono.
    """
    samples, rate_hz = soundfile.read(io.BytesIO(stream), dtype="int16")
    if rate_hz != SAMPLE_RATE_HZ or samples.ndim != 1:
        shape = f"{samples.shape} at {rate_hz} Hz"
        raise ValueError(f"`stream` must be mono at {SAMPLE_RATE_HZ} Hz, got {shape}")
    decoded: npt.NDArray[np.int16] = samples
    return decoded

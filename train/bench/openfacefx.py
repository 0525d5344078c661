"""The rule-based peer `openfacefx` in loudness mode, as motion on our frames.

It opens the jaw with the loudness of the audio and maps its visemes onto ARKit shapes. MIT, from
PyPI; an extra for this benchmark and its test alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from esarm_env.errors import MissingExtraError
from esarm_env.face.names import index_of
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ, FloatArray


def loudness_motion(audio: FloatArray, *, n_frames: int, intensity: float = 1.0) -> FloatArray:
    """Return what the peer makes of a recording.

    Args:
        audio: Shape (n_samples,), 16 kHz.
        n_frames: Length T of the result.
        intensity: The peer's gain on the mouth opening; 1 is its default.

    Returns:
        Shape (T, 52), float32 in [0, 1], 30 fps, alphabetical ARKit order.

    Raises:
        MissingExtraError: If `openfacefx` is not installed.
    """
    try:
        import openfacefx
    except ImportError as error:
        purpose = "comparing with the rule-based peer"
        raise MissingExtraError("openfacefx", extra="peers", purpose=purpose) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        soundfile.write(path, audio, SAMPLE_RATE_HZ, subtype="PCM_16")  # all that it reads
        track = openfacefx.generate_from_energy(str(path), fps=FRAME_RATE_HZ, intensity=intensity)
    track = openfacefx.retarget(track, openfacefx.PRESETS["arkit"])
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    motion = np.zeros((n_frames, N_CHANNELS), dtype=np.float32)
    for channel in track.channels:
        key_s = [key.time for key in channel.keys]
        values = [key.value for key in channel.keys]
        motion[:, index_of(channel.name)] = np.interp(time_s, key_s, values)
    return motion.clip(0, 1)

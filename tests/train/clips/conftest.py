"""A short voice, and motion of a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile


@pytest.fixture
def voice(tmp_path: Path, make_speech: Any) -> Path:
    """Return a sound file of 0.6 s, 18 frames."""
    path = tmp_path / "hello.wav"
    soundfile.write(path, make_speech(0.6), 16_000)
    return path


@pytest.fixture
def motion() -> np.ndarray:
    """Return smooth motion of 1.2 s, (36, 52), its tongue at rest."""
    phase = np.linspace(0, 3, 36)[:, None] + np.arange(52)
    values = (0.3 + 0.3 * np.sin(phase)).astype("f4")
    values[:, 51] = 0
    return values

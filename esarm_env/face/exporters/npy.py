"""Exporter `npy`: a bare `.npy` array (T, 52), as the corpus 3D-ETF and EmoTalk have it.

A module of its own, as every format has one: the entry points name them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.face.exporters.clip import check_motion
from esarm_env.face.exporters.registry import Exporter

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray


def _write(path: Path, motion: FloatArray, *, rate_hz: int) -> None:
    values = check_motion(motion, rate_hz=rate_hz)
    with path.open("wb") as file:  # `np.save` adds a suffix to a name without one
        np.save(file, values, allow_pickle=False)


NPY = Exporter(
    ".npy",
    _write,
    "NumPy array (T, 52) at 30 fps in alphabetical order, as 3D-ETF and EmoTalk have it.",
    rates_hz=(FRAME_RATE_HZ,),  # the array does not tell, and its readers take it for this
)

"""Exporter `livelink`: Live Link Face CSV, by `esarm_env.face.livelink`, which reads it as well.

A module of its own, as every format has one: the entry points name them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esarm_env.face.exporters.registry import Exporter
from esarm_env.face.livelink import write_livelink_csv

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray


def _write(path: Path, motion: FloatArray, *, rate_hz: int) -> None:
    write_livelink_csv(path, motion, rate_hz=rate_hz)


LIVELINK = Exporter(
    ".csv", _write, "Live Link Face recording: 52 ARKit curves and head rotations, CSV."
)

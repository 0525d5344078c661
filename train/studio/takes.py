"""What a job made: motion with its sound, as the page reads it, in pictures and as files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

RATES_HZ = (30, 60)


@dataclass(frozen=True, eq=False)
class Take:
    """One animation.

    Attributes:
        label: For people.
        motion: Shape (T, 52), 30 fps, alphabetical order.
        told: Facts about it for the page: settings, errors.
        curves: Values over time by name, (n,) each, such as the error of every frame.
    """

    label: str
    motion: FloatArray
    told: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, FloatArray] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what the page is told; the motion it asks for by itself."""
        return {
            "label": self.label,
            "n_frames": len(self.motion),
            "rate_hz": FRAME_RATE_HZ,
            "curves": {name: _plain(values) for name, values in self.curves.items()},
            **self.told,
        }


def formats() -> list[dict[str, str]]:
    """Return the exporters that can be used: name, suffix and what their files are."""
    from esarm_env.face.exporters import EXPORTERS

    found = [plugin for plugin in EXPORTERS.find().values() if plugin.error is None]
    loaded = [(plugin.name, plugin.load()) for plugin in found]
    return [
        {"name": name, "suffix": each.suffix, "description": each.description}
        for name, each in loaded
    ]


def exported(take: Take, suffix: str, *, rate_hz: int = FRAME_RATE_HZ) -> bytes:
    """Return a take as a file of the format with a suffix.

    Args:
        take: What to write.
        suffix: Of one of `formats`, with the dot.
        rate_hz: 30 or 60.

    Raises:
        InputError: If there is no such format, or it cannot hold the motion.
        MissingExtraError: If writing it needs an extra.
    """
    from esarm_env.face.exporters import exporter_for

    known = [each["suffix"] for each in formats()]
    if suffix not in known:
        raise InputError(f"`format` must be one of {', '.join(known)}, got {suffix!r:.40}")
    with tempfile.TemporaryDirectory(prefix="esarm-studio-") as folder:
        path = Path(folder, f"animation{suffix}")
        exporter_for(path).write(path, take.motion, rate_hz=rate_hz)
        return path.read_bytes()


def _plain(values: FloatArray) -> list[float | None]:
    """Return numbers for JSON, which knows no nan."""
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]

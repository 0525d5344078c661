"""What a job made: motion with its sound, as the page reads it, in pictures and as files."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from esarm_env.face.head import Head
    from train.studio.sounds import Sound

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


def formats() -> list[dict[str, Any]]:
    """Return the formats that takes can be written in, by name.

    Each with its suffix, what its files are, its frames per second, and in `lack` the reason why it
    cannot be written here, None where it can.
    """
    from esarm_env.face.exporters import EXPORTERS

    found = [plugin for plugin in EXPORTERS.find().values() if plugin.error is None]
    told = []
    for name, exporter in [(plugin.name, plugin.load()) for plugin in found]:
        lack = None
        try:
            exporter.ready(rate_hz=exporter.rates_hz[0])
        except (InputError, MissingExtraError) as error:
            lack = one_line(error)
        told.append(
            {
                "name": name,
                "suffix": exporter.suffix,
                "description": exporter.description,
                "rates_hz": list(exporter.rates_hz),
                "lack": lack,
            }
        )
    return told


def exported(
    take: Take, name: str, *, rate_hz: int, head: Head, sound: Sound | None
) -> tuple[bytes, str]:
    """Return a take as a file, and the suffix of its name.

    Args:
        take: What to write.
        name: Of the format, one of `formats`.
        rate_hz: 30 or 60.
        head: Shown where the format shows one.
        sound: Heard where it has sound.

    Raises:
        InputError: If there is no such format, or it cannot hold the motion.
        MissingExtraError: If writing it needs an extra.
    """
    from esarm_env.face.exporters import EXPORTERS, write_motion

    if name not in EXPORTERS.find():
        known = ", ".join(each["name"] for each in formats())
        raise InputError(f"`format` must be one of {known}, got {name!r:.40}")
    suffix = EXPORTERS.find()[name].load().suffix
    title = "animation" if sound is None else Path(sound.name).stem or "animation"
    with tempfile.TemporaryDirectory(prefix="esarm-studio-") as folder:
        path = Path(folder, f"animation{suffix}")
        speech = None if sound is None else (sound.audio, SAMPLE_RATE_HZ)
        write_motion(
            path,
            take.motion,
            head=head,
            speech=speech,
            format=name,
            rate_hz=rate_hz,
            name=title,
        )
        return path.read_bytes(), suffix


def _plain(values: FloatArray) -> list[float | None]:
    """Return numbers for JSON, which knows no nan."""
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]

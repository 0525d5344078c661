"""Files of one clip: planned before any work is done for them, and written from one motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.face.exporters import exporters_to
from esarm_env.face.exporters.writing import opened, write_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.face.exporters import Exporter, Sound
    from esarm_env.face.head import Head


@dataclass(frozen=True, eq=False)
class Outputs:
    """Where a clip is written to.

    Attributes:
        paths: The files.
        exporters: One for each.
        rate_hz: Frames per second of all.
        head: That formats with a mesh or a picture show; None for the one that ships.
    """

    paths: tuple[Path, ...]
    exporters: tuple[Exporter, ...]
    rate_hz: int
    head: Head | None = None

    @classmethod
    def planned(
        cls,
        paths: Sequence[Path],
        *,
        source: Path,
        formats: Sequence[str] = (),
        rate_hz: int = 30,
        head: str | None = None,
    ) -> Outputs:
        """Check all that can be checked without the motion.

        Args:
            paths: The files.
            source: What they are made of, which may not be written over.
            formats: Names of exporters, for suffixes that several share.
            rate_hz: Frames per second.
            head: As of `open_head`; None for the one that ships.

        Raises:
            InputError: If a file cannot be written, has no exporter or two, or no output shows the
                head that is asked for.
            MissingExtraError: If a package is absent that one of them needs.
        """
        exporters = exporters_to(paths, speech=source, formats=formats, rate_hz=rate_hz)
        return cls(tuple(paths), tuple(exporters), rate_hz, head_of(exporters, head))

    def takes(self, part: str) -> bool:
        """Return whether a format has a place for a part: `head`, `speech` or `name`."""
        return any(part in exporter.takes for exporter in self.exporters)

    def write(self, motion: FloatArray, *, speech: Sound | None, name: str) -> None:
        """Write all files.

        Args:
            motion: Shape (T, 52), 30 fps, alphabetical order, in [0, 1].
            speech: What is heard with it.
            name: Of the clip.

        Raises:
            InputError: If one cannot be written; those before it are.
        """
        for path, exporter in zip(self.paths, self.exporters, strict=True):
            write_with(
                exporter,
                path,
                motion,
                rate_hz=self.rate_hz,
                head=self.head,
                speech=speech,
                name=name,
            )


def head_of(exporters: Sequence[Exporter], head: str | None) -> Head | None:
    """Return the head that is asked for, None where none is.

    Raises:
        InputError: If it cannot be opened, or no exporter shows one.
    """
    if head is None:
        return None
    if not any("head" in exporter.takes for exporter in exporters):
        listed = ", ".join(dict.fromkeys(exporter.suffix for exporter in exporters))
        raise InputError(
            f"`head` must be left out where no output shows one, got {head!r} for {listed} alone; "
            "write a .glb, .mp4 or .usda, too"
        )
    try:
        return opened(head)
    except InputError as error:
        raise InputError(str(error).replace("`path`", "`head`", 1)) from error

"""Exporters: who writes facial motion to a file, chosen by the file's suffix.

Ours is `livelink` for `.csv`; packages bring more through the entry-point group `esarm.exporters`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from esarm_env.core.cache import check_target, goes_through
from esarm_env.core.errors import InputError
from esarm_env.core.plugins import Plugin, PluginRegistry, need_class

if TYPE_CHECKING:
    import os

    from esarm_env.core.types import FloatArray

EXPORTER_GROUP = "esarm.exporters"


class WriteMotion(Protocol):
    """Writes a file."""

    def __call__(self, path: Path, motion: FloatArray, *, rate_hz: int) -> object:
        """Write `motion` (T, 52), 30 fps, alphabetical order, at `rate_hz` (30 or 60) to `path`.

        The file appears whole or not at all.

        Raises:
            InputError: If the motion or the rate does not suit the format, or `path` cannot be
                written.
        """


@dataclass(frozen=True)
class Exporter:
    """A format to write motion in.

    Attributes:
        suffix: Of its files, with the dot, in small letters.
        write: Writes one.
        description: One line for lists.
    """

    suffix: str
    write: WriteMotion
    description: str = ""

    def __post_init__(self) -> None:
        """Check the suffix."""
        if not isinstance(self.suffix, str) or not re.fullmatch(r"\.[^\s./\\A-Z]+", self.suffix):
            rule = "a dot and letters, none of them capital"
            raise InputError(f"`suffix` must be {rule}, got {self.suffix!r}")
        if not callable(self.write):
            raise InputError(
                "`write` must be callable with (path, motion, rate_hz=...), "
                f"got {type(self.write).__name__}"
            )


EXPORTERS: PluginRegistry[Exporter] = PluginRegistry(
    "exporter", EXPORTER_GROUP, check=need_class(Exporter, "an `Exporter`")
)


def register_exporter(
    name: str, write: WriteMotion, *, suffix: str, description: str = "", replace: bool = False
) -> None:
    """Let files with a `suffix` be written by `write` in this process.

    A package registers one for good through the entry-point group `esarm.exporters`, whose values
    are objects of `Exporter`.

    Args:
        name: Without spaces and colons.
        write: Called as `write(path, motion, rate_hz=...)`, see `WriteMotion`.
        suffix: With the dot, in small letters, as `.glb`.
        description: One line for lists.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If name or suffix is taken or cannot be one, or `write` cannot be called.
    """
    exporter = Exporter(suffix, write, description)
    others = [each for each in _writers(suffix) if each.name != name]
    if others:
        raise InputError(
            f"`suffix` must be free, got {suffix!r}, written by exporter {others[0].name!r} "
            f"of {others[0].package}"
        )
    EXPORTERS.register(name, exporter, replace=replace)


def exporter_for(path: str | os.PathLike[str]) -> Exporter:
    """Return the exporter that writes files called like `path`.

    Raises:
        InputError: If there is none for the suffix, or more than one.
    """
    suffix = Path(path).suffix.lower()
    found = _writers(suffix)
    if len(found) == 1:
        return found[0].load()
    if found:
        names = " and ".join(f"{each.name!r} of {each.package}" for each in found)
        raise InputError(
            f"{path}: files with the suffix {suffix!r} are written by several exporters, "
            f"{names}; uninstall all but one"
        )
    plugins = EXPORTERS.find().values()
    known = {each.load().suffix: each.name for each in plugins if each.error is None}
    listed = ", ".join(f"{suffix} ({name})" for suffix, name in known.items()) or "none"
    broken = [f"{each.name!r} ({each.error})" for each in plugins if each.error is not None]
    more = f"; exporters that cannot be used: {', '.join(broken)}" if broken else ""
    raise InputError(
        f"the suffix of the output must be one of those that exporters write: {listed}, "
        f"got {str(path)!r}{more}"
    )


def exporter_to(output: Path, *, speech: Path) -> Exporter:
    """Return the exporter of an animation's file: of CSV through a device without suffix.

    Args:
        output: The file.
        speech: The recording that is animated, which may not be written over.

    Raises:
        InputError: As `exporter_for`, or if `output` is a folder, the recording, or cannot be
            written.
    """
    if output.exists() and not output.is_dir() and speech.exists() and output.samefile(speech):
        raise InputError(f"`output` must be another file than the recording, got {output}")
    if output.is_dir():
        raise InputError(
            f"`output` must be a file, got the folder {output}; name one in it, such as "
            f"{output / speech.stem}.csv"
        )
    try:
        through = not output.suffix and goes_through(output)
    except OSError:
        through = False  # said where it is written
    exporter = exporter_for(output.with_suffix(".csv") if through else output)
    check_target(output, make_folder=False)
    return exporter


def _writers(suffix: str) -> list[Plugin[Exporter]]:
    plugins = EXPORTERS.find().values()
    return [each for each in plugins if each.error is None and each.load().suffix == suffix]


def _write_livelink(path: Path, motion: FloatArray, *, rate_hz: int) -> None:
    from esarm_env.face.livelink import write_livelink_csv

    write_livelink_csv(path, motion, rate_hz=rate_hz)


LIVELINK = Exporter(
    ".csv", _write_livelink, "Live Link Face recording: 52 ARKit curves and head rotations, CSV."
)

"""Registry of exporters: which are installed, and which of them writes a file.

Ours are named in `setup.cfg`; packages bring more through the entry-point group `esarm.exporters`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from esarm_env.core.cache import check_target, goes_through
from esarm_env.core.errors import InputError
from esarm_env.core.plugins import Plugin, PluginRegistry, need_class, unknown_name
from esarm_env.face.exporters.clip import RATES_HZ

if TYPE_CHECKING:
    import os

    from esarm_env.core.types import FloatArray

EXPORTER_GROUP = "esarm.exporters"
# What a writer gets if it names it among its arguments.
PARTS = ("head", "speech", "name")
_LIVELINK = "livelink"  # what devices without a suffix get


class WriteMotion(Protocol):
    """Writes a file.

    A writer whose format holds more than curves names what it wants as further keyword arguments:
    `head` (`esarm_env.face.Head`), `speech` (`Sound`, or None where there is none) and `name` (of
    the clip).
    """

    def __call__(self, path: Path, motion: FloatArray, *, rate_hz: int) -> object:
        """Write `motion` (T, 52), 30 fps, alphabetical order, at `rate_hz` (30 or 60) to `path`.

        `path` is a draft that becomes the file when the writer returns.

        Raises:
            InputError: If the motion or the rate does not suit the format, or `path` cannot be
                written.
        """


@dataclass(frozen=True)
class Exporter:
    """A format to write motion in.

    Attributes:
        suffix: Of its files, with the dot, in small letters; several formats may share one.
        write: Writes one.
        description: One line for lists.
        needs: Raises MissingExtraError where a package is absent that `write` will need; called
            before any work.
        rates_hz: Frames per second that the format can be written at.
    """

    suffix: str
    write: WriteMotion | Callable[..., object]
    description: str = ""
    needs: Callable[[], object] | None = None
    rates_hz: tuple[int, ...] = RATES_HZ

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

    @property
    def takes(self) -> tuple[str, ...]:
        """Which of `PARTS` the format has a place for: those that its writer names."""
        try:
            parameters = inspect.signature(self.write).parameters.values()
        except (TypeError, ValueError):  # of a callable that does not tell
            return ()
        if any(each.kind is each.VAR_KEYWORD for each in parameters):
            return PARTS
        names = {each.name for each in parameters}
        return tuple(part for part in PARTS if part in names)

    def ready(self, *, rate_hz: int) -> None:
        """Check, before any work, that files can be written at `rate_hz`.

        Raises:
            InputError: If the format has no such rate.
            MissingExtraError: If a package is absent; the message holds the pip line.
        """
        if rate_hz not in RATES_HZ:
            raise InputError(f"`rate` must be 30 or 60 frames per second, got {rate_hz}")
        if rate_hz not in self.rates_hz:
            known = " or ".join(map(str, self.rates_hz))
            raise InputError(
                f"`rate` must be {known} for {self.suffix} files, which hold no other, "
                f"got {rate_hz}"
            )
        if self.needs is not None:
            self.needs()

    def write_clip(self, path: Path, motion: FloatArray, *, rate_hz: int, **parts: object) -> None:
        """Call `write` with those of `parts` that it takes.

        Args:
            path: The draft.
            motion: Shape (T, 52), 30 fps, alphabetical order.
            rate_hz: Frames per second of the file.
            **parts: By name, those of `PARTS`.
        """
        taken: dict[str, Any] = {name: parts[name] for name in self.takes if name in parts}
        self.write(path, motion, rate_hz=rate_hz, **taken)


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
        suffix: With the dot, in small letters, as `.obj`; one that several formats share already
            may be shared further.
        description: One line for lists.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If name or suffix is taken or cannot be one, or `write` cannot be called.
    """
    exporter = Exporter(suffix, write, description)
    others = [each for each in _writers(suffix) if each.name != name]
    if len(others) == 1:
        raise InputError(
            f"`suffix` must be free, got {suffix!r}, written by exporter {others[0].name!r} "
            f"of {others[0].package}"
        )
    EXPORTERS.register(name, exporter, replace=replace)


def exporter_for(path: str | os.PathLike[str], *, format: str | None = None) -> Exporter:
    """Return the exporter that writes files called like `path`.

    Args:
        path: Of the file.
        format: Name of the exporter, for suffixes that several share.

    Raises:
        InputError: If there is none for the suffix, or more than one and no `format`; or `format`
            is unknown or writes files of another suffix.
    """
    suffix = Path(path).suffix.lower()
    found = _writers(suffix)
    if format is not None:
        exporter = format_called(format)
        if exporter.suffix != suffix:
            raise InputError(
                f"`format` must suit the suffix of the output, got {format!r}, which writes "
                f"{exporter.suffix} files, for {path}"
            )
        return exporter
    if len(found) == 1:
        return found[0].load()
    if found:
        *others, last = (f"{each.name!r} of {each.package}" for each in found)
        names = f"{', '.join(others)} and {last}"
        raise InputError(
            f"{path}: files with the suffix {suffix!r} are written by several exporters, "
            f"{names}; say which with `--format`"
        )
    raise InputError(
        f"the suffix of the output must be one of those that exporters write: {_listed()}, "
        f"got {str(path)!r}{_broken()}"
    )


def format_called(name: str) -> Exporter:
    """Return the exporter of this name.

    Raises:
        InputError: If there is none, or it cannot be loaded.
    """
    known = EXPORTERS.find()
    if name not in known:
        message = unknown_name(name, known, setting="format", kind="exporter")
        raise InputError(f"{message}{_broken()}")
    return known[name].load()


def exporter_to(output: Path, *, speech: Path, format: str | None = None) -> Exporter:
    """Return the exporter of an animation's file: of CSV through a device without suffix.

    Args:
        output: The file.
        speech: The file that it is made of, which may not be written over.
        format: Name of the exporter, for suffixes that several share, and for devices.

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
    exporter = (
        format_called(format or _LIVELINK) if through else exporter_for(output, format=format)
    )
    check_target(output, make_folder=False)
    return exporter


def exporters_to(
    outputs: Sequence[Path], *, speech: Path, formats: Sequence[str] = (), rate_hz: int = 30
) -> list[Exporter]:
    """Return the exporter of each of several files of one animation, each ready to write.

    Args:
        outputs: The files, all different.
        speech: The file that they are made of.
        formats: Names of exporters, at most one for each suffix, for suffixes that several share.
        rate_hz: Frames per second of all.

    Raises:
        InputError: As `exporter_to`; or if there is no output, two are one file, a format is given
            twice or for no output, or has no such rate.
        MissingExtraError: If a package is absent that one of them needs.
    """
    if not outputs:
        raise InputError("`output` must be given at least once, got none")
    same = {each.resolve() for each in outputs}
    if len(same) < len(outputs):
        listed = ", ".join(map(str, outputs))
        raise InputError(f"`output` must be different files, got {listed}")
    by_suffix: dict[str, str] = {}
    for name in formats:
        suffix = format_called(name).suffix
        if by_suffix.setdefault(suffix, name) != name:
            two = f"{by_suffix[suffix]} and {name}"
            raise InputError(f"`format` must be one for {suffix} files, got {two}")
    chosen, used = [], set()
    for output in outputs:
        named = by_suffix.get(output.suffix.lower())
        if named is None and not output.suffix and len(formats) == 1:
            named = formats[0]  # through a device
        used.add(named)
        exporter = exporter_to(output, speech=speech, format=named)
        exporter.ready(rate_hz=rate_hz)
        chosen.append(exporter)
    unused = [name for name in formats if name not in used]
    if unused:
        listed = ", ".join(map(str, outputs))
        raise InputError(f"`format` must be of one of the outputs, got {unused[0]!r} for {listed}")
    return chosen


def _writers(suffix: str) -> list[Plugin[Exporter]]:
    plugins = EXPORTERS.find().values()
    return [each for each in plugins if each.error is None and each.load().suffix == suffix]


def _listed() -> str:
    """Return the suffixes that can be written, with the names of their formats."""
    names: dict[str, list[str]] = {}
    for each in EXPORTERS.find().values():
        if each.error is None:
            names.setdefault(each.load().suffix, []).append(each.name)
    listed = [f"{suffix} ({', '.join(names[suffix])})" for suffix in sorted(names)]
    return ", ".join(listed) or "none"


def _broken() -> str:
    """Return the end of a message: exporters that cannot be loaded, if there are any."""
    plugins = EXPORTERS.find().values()
    broken = [f"{each.name!r} ({each.error})" for each in plugins if each.error is not None]
    return f"; exporters that cannot be used: {', '.join(broken)}" if broken else ""

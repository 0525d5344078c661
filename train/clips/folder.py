"""`esarm animate FOLDER`: every recording below a folder by one policy; a bad one costs itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.audio import read_audio
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.progress import open_progress
from esarm_env.face.exporters.registry import format_called
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from train.animate import SpeechAnimator, open_animator
from train.clips.animation import animated_clip, written_card
from train.clips.outputs import Outputs, head_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.face.exporters import Exporter
    from train.animate import Manner
    from train.clips.card.maker import CardMaker

_BY_DEFAULT = ("livelink",)
_SAME = 3  # files that fail alike before one is done: what fails is what was asked for


@dataclass
class FolderReport:
    """What became of the recordings of a folder.

    Attributes:
        clips: What was done, of each recording that was animated.
        n_skipped: Recordings whose files were there already.
        faults: One line for each recording that was left out; it names the file.
    """

    clips: list[dict[str, object]] = field(default_factory=list)
    n_skipped: int = 0
    faults: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        counts = {"animated": len(self.clips), "skipped": self.n_skipped}
        return {**counts, "failed": len(self.faults), "clips": self.clips, "faults": self.faults}


@dataclass(frozen=True)
class _Clip:
    """A recording, and the files that are to be written of it."""

    speech: Path
    paths: tuple[Path, ...]

    def is_done(self, *, cards: bool) -> bool:
        """Return whether all files are there, none older than the recording."""
        spoken = self.speech.stat().st_mtime
        files = [*self.paths, *([card_beside(self.paths[0])] if cards else [])]
        return all(path.is_file() and path.stat().st_mtime >= spoken for path in files)


def animate_folder(
    folder: Path,
    output: Path,
    *,
    run_path: Path,
    manner: Manner,
    policy: str = "auto",
    rate_hz: int = 30,
    formats: Sequence[str] = (),
    head: str | None = None,
    overwrite: bool = False,
    cards: bool = False,
    progress: bool = True,
) -> FolderReport:
    """Animate every recording below `folder` into files of the same relative path in `output`.

    Interrupt it at any time and call it again: what is there, and not older than its recording, is
    kept. A recording that cannot be animated is listed in the report and costs no other.

    Args:
        folder: With sound files or videos, at any depth.
        output: Folder, made if absent.
        run_path: A run folder.
        manner: How all of them are animated.
        policy: As of `find_policy`.
        rate_hz: Frames per second, 30 or 60.
        formats: Names of exporters, one file each; Live Link CSV by default.
        head: As of `open_head`, for formats that show one; None for the one that ships.
        overwrite: Whether to animate again what is there.
        cards: Whether each gets its quality card beside its files.
        progress: Whether to draw a bar (on standard error).

    Raises:
        InputError: If there is no recording, a format or the head cannot be, the policy cannot be
            opened, or the first recordings all fail for one reason.
        MissingExtraError: If a package is absent that a format needs.
    """
    exporters = _exporters(formats or _BY_DEFAULT, rate_hz)
    shown = head_of(exporters, head)
    report = FolderReport()
    clips = _plan(folder, output, exporters, report)
    left = [clip for clip in clips if overwrite or not clip.is_done(cards=cards)]
    report.n_skipped = len(clips) - len(left)
    if not left:
        return report
    animator = open_animator(run_path, policy)
    maker = None
    if cards:
        from train.clips.card.maker import CardMaker

        maker = CardMaker(animator, head=shown)
    with open_progress(show=progress) as bar:
        task = bar.add_task("Animating", total=len(clips), completed=report.n_skipped)
        for clip in left:
            outputs = Outputs(clip.paths, tuple(exporters), rate_hz, shown)
            try:
                _animate(animator, clip, outputs, manner, report, maker)
            except KeyboardInterrupt:
                n_done = report.n_skipped + len(report.clips)
                said = f"{n_done} of {len(clips)} recordings done; the same command goes on"
                raise KeyboardInterrupt(said) from None
            bar.advance(task)
    return report


def _animate(
    animator: SpeechAnimator,
    clip: _Clip,
    outputs: Outputs,
    manner: Manner,
    report: FolderReport,
    maker: CardMaker | None,
) -> None:
    """Animate one recording; whatever it raises becomes a line of the report.

    Raises:
        InputError: If it is the third that fails for one reason, and none succeeded.
    """
    try:
        clip.paths[0].parent.mkdir(parents=True, exist_ok=True)
        audio = read_audio(clip.speech)
        done, animated = animated_clip(animator, clip.speech, audio, outputs, manner)
        if maker is not None:
            done["card"] = written_card(maker, animated, card_beside(clip.paths[0]))
        report.clips.append(done)
    except Exception as error:  # a decoder's may be any; the neighbours are not to pay for it
        said = one_line(error)
        kind = "" if isinstance(error, ValueError | ImportError) else f"{type(error).__name__}: "
        begins = said.startswith(str(clip.speech))
        report.faults.append(f"{kind}{said}" if begins else f"{clip.speech}: {kind}{said}")
        reasons = {fault.removeprefix(f"{fault.partition(': ')[0]}: ") for fault in report.faults}
        if not report.clips and len(report.faults) >= _SAME and len(reasons) == 1:
            raise InputError(reasons.pop()) from error


def card_beside(output: Path) -> Path:
    """Return the usual place of a quality card: beside the output, by its name."""
    return output.with_name(f"{output.stem}.card.html")


def _exporters(formats: Sequence[str], rate_hz: int) -> list[Exporter]:
    """Return the exporters of a folder, no two of one suffix, each ready to write."""
    found: dict[str, str] = {}
    exporters = []
    for name in dict.fromkeys(formats):
        exporter = format_called(name)
        if (other := found.setdefault(exporter.suffix, name)) != name:
            two = f"{other} and {name}"
            raise InputError(f"`format` must be one for {exporter.suffix} files, got {two}")
        exporter.ready(rate_hz=rate_hz)
        exporters.append(exporter)
    return exporters


def _plan(
    folder: Path, output: Path, exporters: Sequence[Exporter], report: FolderReport
) -> list[_Clip]:
    """Return the recordings with their files; a second recording of one name is a fault."""
    suffixes = [exporter.suffix for exporter in exporters]
    is_same = output.exists() and output.samefile(folder)
    if is_same and not set(suffixes).isdisjoint(VIDEO_SUFFIXES):
        raise InputError(
            f"`output` must be another folder than the recordings', got {output}: the videos that "
            "are written there would be recordings of the next call"
        )
    clips: dict[Path, _Clip] = {}
    for speech in find_recordings(folder, but=None if is_same else output):
        stem = output / speech.relative_to(folder).with_suffix("")
        if stem in clips:
            report.faults.append(
                f"{speech}: must differ from {clips[stem].speech.name} in more than the ending, "
                "or both are written to one file; rename it"
            )
        else:
            paths = tuple(stem.with_name(f"{stem.name}{suffix}") for suffix in suffixes)
            clips[stem] = _Clip(speech, paths)
    return list(clips.values())


def find_recordings(folder: Path, *, but: Path | None = None) -> list[Path]:
    """Return sound files and videos below `folder` by path, without hidden files and folders.

    Args:
        folder: Searched at any depth.
        but: A folder whose files are left out, wherever it lies.

    Raises:
        InputError: If there is none.
    """
    endings = frozenset((*SOUND_SUFFIXES, *VIDEO_SUFFIXES))
    left_out = None if but is None else but.resolve()
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and Path(place, name).resolve() != left_out
        ]
        for name in sorted(names):
            if Path(name).suffix.lower() in endings and not name.startswith("."):
                found.append(Path(place, name))
    if not found:
        some = ", ".join(SOUND_SUFFIXES[:5])
        raise InputError(f"{folder}: must hold recordings ({some}, ...), got none")
    return sorted(found)

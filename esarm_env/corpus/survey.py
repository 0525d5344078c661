"""Survey of a folder's takes (durations, frame rates, cuts, faults), and its persistent index.

Headers are enough for a take as short as a sentence. Only longer ones are read (for their pauses),
and all of them where the caller wants to be sure of every value. The index under the cache folder
keeps what was found: an entry is valid as long as the take's files have the size and time of change
that it was made from, so a corpus of tens of thousands of clips opens in seconds and a changed file
is read again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from esarm_env.audio.loading import measure_audio, read_audio, sound_lateness
from esarm_env.audio.pauses import cut_at_pauses
from esarm_env.core.cache import cache_dir, write_text
from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.progress import track
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from esarm_env.corpus.alignment import (
    LONGEST_TAKE_S,
    AlignedTake,
    check_durations,
    frames_of,
    infer_rate,
    read_aligned,
)
from esarm_env.corpus.clocks import (
    Clock,
    Counted,
    Readings,
    settle_start,
    stated_stretch,
    whole_rate,
)
from esarm_env.corpus.motion import measure_track
from esarm_env.corpus.motion.track import check_rate
from esarm_env.corpus.offsets import OFFSETS_FILE
from esarm_env.corpus.takes import Fault, Take
from esarm_env.formats.timecodes import NTSC

# Raise whenever reading, resampling or cutting gives other utterances for the same files.
READER_VERSION = 3
SHORTEST_S, LONGEST_S = 1.5, 6.0  # of the pieces of a long take
UNCUT_S = 8.0  # a take up to this long is one utterance
_BAR_FROM = 200  # takes to look at before a progress bar is worth its lines


@dataclass
class Entry:
    """Index entry of one take.

    Attributes:
        stamp: Sizes and times of change of its files.
        duration_s: Of its audio.
        n_frames: Of its motion file; 0 without one.
        start_s: Time of the first of these.
        stated_hz: Frame rate that the motion file states, or None.
        rate_hz: Frame rate it is read at.
        nominal_hz: What the file's times count, if they are labels.
        late_s: How much later than its pictures the sound of a video starts.
        offset_s: How late its motion is.
        stretch: Factor of the file's times.
        shift_s: What is taken off its times afterwards.
        clock_notes: Why.
        sound_notes: What is missing at the end of its sound.
        rate_note: What was decided about its rate, or could not be; empty if nothing.
        pieces: Where its utterances begin and end, in frames at 30 fps.
        digest: SHA-256 of its audio and motion; None until it has been read whole.
        notes: What was mended.
        fault: Why it is left out, or None.
    """

    stamp: str
    duration_s: float = 0.0
    n_frames: int = 0
    start_s: float = 0.0
    stated_hz: float | None = None
    rate_hz: float = 0.0
    nominal_hz: float | None = None
    late_s: float = 0.0
    offset_s: float = 0.0
    stretch: float = 1.0
    shift_s: float = 0.0
    clock_notes: list[str] = field(default_factory=list)
    sound_notes: list[str] = field(default_factory=list)
    rate_note: str = ""
    pieces: list[tuple[int, int]] = field(default_factory=list)
    digest: str | None = None
    notes: list[str] = field(default_factory=list)
    fault: str | None = None

    @property
    def clock(self) -> Clock:
        """How the file's times become those of its sound."""
        return Clock(self.stretch, self.shift_s, tuple(self.clock_notes))


def stamp_of(take: Take) -> str:
    """Return a fingerprint of the take's files: sizes and modification times."""
    parts: list[object] = [READER_VERSION]
    for path in (take.audio, take.motion):
        if path is not None:
            # A file that may be read now has neither other size nor other time than before.
            parts += [path.suffix, *_size_and_time(path), int(os.access(path, os.R_OK))]
    return " ".join(map(str, parts))


def _size_and_time(path: Path) -> tuple[int, int]:
    """Return size and modification time of a file; zeros for a dead link."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


class TakeIndex:
    """Persistent index of a folder's takes, loaded from and saved to the cache."""

    def __init__(self, folder: Path, *, layout: str) -> None:
        key = hashlib.sha256(f"{folder.resolve()}\n{layout}".encode()).hexdigest()[:24]
        self._path = cache_dir() / "corpora" / f"{key}.json"
        self.entries: dict[str, Entry] = self._load()

    def update(self, takes: Sequence[Take]) -> list[Take]:
        """Drop the entries of takes that are gone; return those that are new or changed.

        Each of these gets an empty entry.
        """
        stamps = {take.id: stamp_of(take) for take in takes}
        # An interrupt may have left entries that were never measured.
        looked_at = {key: e for key, e in self.entries.items() if e.duration_s or e.fault}
        kept = {key: e for key, e in looked_at.items() if e.stamp == stamps.get(key)}
        changed = [take for take in takes if take.id not in kept]
        self.entries = kept | {take.id: Entry(stamps[take.id]) for take in changed}
        return changed

    def save(self) -> None:
        """Keep the entries; a cache that cannot be written costs time at the next opening only."""
        try:
            rows = json.dumps({key: vars(entry) for key, entry in self.entries.items()})
            write_text(self._path, f"{_sum_of(rows)}\n{rows}")
        except InputError:
            return

    def _load(self) -> dict[str, Entry]:
        try:
            if not self._path.is_file():
                return {}
            found, _, rows = self._path.read_text(encoding="utf-8").partition("\n")
            if found != _sum_of(rows):
                return {}  # of an older version, cut short, or changed by somebody
            entries = {key: Entry(**row) for key, row in json.loads(rows).items()}
            for entry in entries.values():
                entry.pieces = [(begin, end) for begin, end in entry.pieces]
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}  # made anew
        return entries


def _sum_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Survey:
    """Result of a survey: usable takes, faults and notes.

    Attributes:
        takes: Those that can be used, in the order given.
        faults: What was left out.
        notes: What was mended.
        inferred_hz: Frame rate taken for motion files that state none; None if there are none.
    """

    takes: tuple[Take, ...]
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...]
    inferred_hz: float | None


def survey(
    takes: Sequence[Take], offsets: dict[str, float], index: TakeIndex, *, read_all: bool
) -> Survey:
    """Bring `index` up to date with `takes` and return which of them can be used.

    Args:
        takes: As a layout found them.
        offsets: How late the motion of a take is, by id, in seconds.
        index: What is known already; saved here, after an interrupt too.
        read_all: Whether to read every take whole that was not read yet.
    """
    changed = index.update(takes)
    try:
        _look(changed, index, "Measuring takes", _measure)
        inferred_hz = _settle_rates(takes, offsets, index)
        _look(_open_ones(takes, index, "pieces"), index, "Cutting takes", _cut)
        if read_all:
            _look(_open_ones(takes, index, "digest"), index, "Reading takes", _read)
    finally:
        index.save()
    faults, notes = _findings(takes, offsets, index)
    usable = tuple(take for take in takes if not index.entries[take.id].fault)
    return Survey(usable, faults, notes, inferred_hz)


def digest_of(take: AlignedTake) -> str:
    """Return the SHA-256 of a take's audio and motion."""
    digest = hashlib.sha256(take.audio.tobytes())
    digest.update(take.motion.tobytes())
    return digest.hexdigest()


def _open_ones(takes: Iterable[Take], index: TakeIndex, wanted: str) -> list[Take]:
    """Return the usable takes whose entry has no `wanted` yet."""
    entries = [(take, index.entries[take.id]) for take in takes]
    return [take for take, entry in entries if not entry.fault and not getattr(entry, wanted)]


def _look(
    takes: Sequence[Take], index: TakeIndex, text: str, look: Callable[[Take, Entry], None]
) -> None:
    """Call `look` for each take; an error becomes the take's fault, but for an absent extra."""
    for take in track(takes, text, show=len(takes) >= _BAR_FROM):
        entry = index.entries[take.id]
        try:
            look(take, entry)
        except InputError as error:
            entry.fault = str(error)
            if importlib.util.find_spec("av") is None:
                entry.stamp = ""  # once there, PyAV may know the sound: looked at again
        except MissingExtraError:
            raise  # nothing is wrong with the take
        except Exception as error:  # one file that a library fails at must not cost the others
            entry.fault = f"cannot be read ({type(error).__name__}: {one_line(error)[:200]})"


def _measure(take: Take, entry: Entry) -> None:
    """Fill an entry from file headers."""
    if take.audio is None:
        raise InputError(f"{take.id}: must have a sound file, got none")
    entry.sound_notes = []
    duration_s = measure_audio(
        take.audio, max_duration_s=LONGEST_TAKE_S, on_note=entry.sound_notes.append
    )
    if take.motion is not None:
        extent = measure_track(take.motion)
        if extent.rate_hz is not None:
            check_rate(take.motion, extent.rate_hz)
        entry.n_frames, entry.start_s = extent.n_frames, extent.start_s
        entry.stated_hz, entry.nominal_hz = extent.rate_hz, extent.nominal_hz
        entry.late_s = sound_lateness(take.audio)
    entry.duration_s = duration_s  # last: it tells that the take was measured


def _settle_rates(
    takes: Sequence[Take], offsets: dict[str, float], index: TakeIndex
) -> float | None:
    """Set frame rate and offset of every take; reset entries where these changed.

    A rate that the user states counts, else the file's own; for files that state none, the one
    that fits most of them. Labels that last longer than they say are told by the sound.

    Returns:
        That rate, or None if all files state theirs.
    """
    silent = [take for take in takes if take.motion and not index.entries[take.id].stated_hz]
    known = [index.entries[take.id] for take in silent]
    measured = [(e.n_frames, e.duration_s) for e in known if e.n_frames and e.duration_s]
    inferred = infer_rate(*zip(*measured, strict=True)) if measured else None
    whole = whole_rate(inferred)
    readings = Readings.of(_counted(takes, index, whole))
    if inferred == whole and whole is not None and readings.is_slow(whole, labelled=False):
        inferred = whole / NTSC
    for take in takes:
        entry = index.entries[take.id]
        stretch, rate_hz = _rate_of(take, entry, readings, inferred)
        note = "" if take.rate_hz else readings.note(*_labels(entry, whole), rate_hz=rate_hz)
        offset_s = offsets.get(take.id, 0.0)
        settled = (entry.rate_hz, entry.stretch, entry.offset_s, entry.rate_note)
        if settled != (rate_hz, stretch, offset_s, note) and entry.duration_s:
            entry.rate_hz, entry.stretch, entry.offset_s = rate_hz, stretch, offset_s
            entry.rate_note = note
            entry.pieces, entry.notes, entry.digest, entry.fault = [], [], None, None
    return inferred


def _counted(takes: Sequence[Take], index: TakeIndex, silent_hz: float | None) -> Iterator[Counted]:
    """Yield what each take's frames count, `silent_hz` where its file states none, and its end.

    Takes whose rate a user states tell nothing.
    """
    for take in takes:
        entry = index.entries[take.id]
        rate_hz = entry.stated_hz or silent_hz
        if take.rate_hz is None and entry.duration_s and entry.n_frames and rate_hz:
            motion_s, late_s = entry.n_frames / rate_hz, entry.late_s
            shift_s, _ = settle_start(
                entry.start_s, motion_s=motion_s, audio_s=entry.duration_s, late_s=late_s
            )
            audio_s = entry.duration_s + shift_s - entry.start_s
            yield Counted(*_labels(entry, silent_hz), motion_s, audio_s)


def _labels(entry: Entry, silent_hz: float | None) -> tuple[float | None, bool]:
    """Return what a take's frames count, and whether labels in its file say so."""
    return (entry.nominal_hz, True) if entry.stated_hz else (silent_hz, False)


def _rate_of(
    take: Take, entry: Entry, readings: Readings, inferred: float | None
) -> tuple[float, float]:
    """Return the factor of a take's times and the frame rate that follows."""
    if entry.stated_hz is None:
        return 1.0, take.rate_hz or inferred or float(FRAME_RATE_HZ)
    stretch = 1.0
    if take.rate_hz is not None:
        stretch = stated_stretch(
            take.rate_hz, stated_hz=entry.stated_hz, nominal_hz=entry.nominal_hz
        )
    elif readings.is_slow(entry.nominal_hz, labelled=True):
        stretch = NTSC
    return stretch, entry.stated_hz / stretch


def _cut(take: Take, entry: Entry) -> None:
    """Cut a take into utterances."""
    n_frames, entry.notes = int(entry.duration_s * FRAME_RATE_HZ), list(entry.sound_notes)
    if take.motion is not None:
        notes, motion_s = _settle_clock(take.motion, entry)
        entry.notes += notes
        n_frames = min(frames_of(entry.duration_s), frames_of(motion_s))
    if n_frames <= UNCUT_S * FRAME_RATE_HZ:
        entry.pieces = [(0, max(1, n_frames))]
        return
    assert take.audio is not None, "a take without audio has no duration"
    audio = read_audio(take.audio, max_duration_s=LONGEST_TAKE_S, on_note=lambda note: None)
    edges = cut_at_pauses(audio, shortest_s=SHORTEST_S, longest_s=LONGEST_S)
    frames = np.round(edges / SAMPLE_RATE_HZ * FRAME_RATE_HZ).astype(np.int64).clip(0, n_frames)
    entry.pieces = [(begin, end) for begin, end in frames.tolist() if end > begin]


def _settle_clock(motion: Path, entry: Entry) -> tuple[list[str], float]:
    """Set where a take's motion starts; return notes, and when it ends."""
    start_s, length_s = entry.start_s * entry.stretch, entry.n_frames / entry.rate_hz
    entry.shift_s, notes = settle_start(
        start_s, motion_s=length_s, audio_s=entry.duration_s, late_s=entry.late_s
    )
    notes += (entry.rate_note,) if entry.rate_note else ()
    entry.clock_notes = list(notes)
    motion_s = start_s - entry.shift_s + length_s
    note = check_durations(
        motion,
        n_frames=entry.n_frames,
        rate_hz=entry.rate_hz,
        motion_s=motion_s,
        audio_s=entry.duration_s,
        start_s=start_s - entry.shift_s,
    )
    return [*notes, *([note] if note else [])], motion_s


def _read(take: Take, entry: Entry) -> None:
    """Read a take whole and store its digest."""
    n_frames = entry.pieces[-1][1]
    aligned = read_aligned(
        take,
        rate_hz=entry.rate_hz,
        n_frames=n_frames,
        offset_s=entry.offset_s,
        clock=entry.clock,
    )
    entry.notes, entry.digest = list(aligned.notes), digest_of(aligned)


def _findings(
    takes: Sequence[Take], offsets: dict[str, float], index: TakeIndex
) -> tuple[tuple[Fault, ...], tuple[Fault, ...]]:
    """Return the faults (left out) and the notes (repaired) of the entries."""
    entries = {take.id: index.entries[take.id] for take in takes}
    faults = [Fault(key, entry.fault) for key, entry in entries.items() if entry.fault]
    faults += [
        Fault(OFFSETS_FILE, f"names {key!r}, which is no take")
        for key in sorted(offsets.keys() - entries)
    ]
    notes = [Fault(key, note) for key, entry in entries.items() for note in entry.notes]
    return tuple(faults), tuple(notes)

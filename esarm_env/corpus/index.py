"""What is known of a folder's takes without reading them again, kept under the cache folder.

An entry is valid as long as the take's files have the size and time of change that it was made
from, so a corpus of tens of thousands of clips opens in seconds and a changed file is looked at
again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from esarm_env.cache import cache_dir, new_file
from esarm_env.corpus.takes import Take

# Raise whenever reading, resampling or cutting gives other utterances for the same files.
READER_VERSION = 1


@dataclass
class Entry:
    """One take as found.

    Attributes:
        stamp: Sizes and times of change of its files.
        duration_s: Of its audio.
        n_frames: Of its motion file; 0 without one.
        start_s: Time of the first of these.
        stated_hz: Frame rate that the motion file states, or None.
        rate_hz: Frame rate it is read at.
        offset_s: How late its motion is.
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
    offset_s: float = 0.0
    pieces: list[tuple[int, int]] = field(default_factory=list)
    digest: str | None = None
    notes: list[str] = field(default_factory=list)
    fault: str | None = None


def stamp_of(take: Take) -> str:
    """Return a line that changes whenever the take's files do."""
    parts: list[object] = [READER_VERSION]
    for path in (take.audio, take.motion):
        if path is not None:
            # A file that may be read now has neither other size nor other time than before.
            parts += [path.suffix, *_size_and_time(path), int(os.access(path, os.R_OK))]
    return " ".join(map(str, parts))


def _size_and_time(path: Path) -> tuple[int, int]:
    """Return what changes with a file's content; zeros for a dead link, which a reader refuses."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


class TakeIndex:
    """Entries of one folder by take id, loaded from and saved to the cache."""

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
            with new_file(self._path) as draft:
                draft.write_text(
                    json.dumps({key: vars(entry) for key, entry in self.entries.items()})
                )
        except OSError:
            return

    def _load(self) -> dict[str, Entry]:
        try:
            rows = json.loads(self._path.read_text())
            entries = {key: Entry(**row) for key, row in rows.items()}
            for entry in entries.values():
                entry.pieces = [(begin, end) for begin, end in entry.pieces]
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # absent, of another version or cut short: made anew
        return entries

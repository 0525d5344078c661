"""`FolderCorpus`: a corpus from a folder of recordings, read lazily.

`records` costs no audio and no motion. A layout finds the takes, the index remembers what each
holds, long takes are cut at pauses, and a take that cannot be used is left out and listed in
`faults`, never fatal among others.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    BoolArray,
    IntArray,
    Record,
    Utterance,
)
from esarm_env.corpus.alignment import AlignedTake, read_aligned
from esarm_env.corpus.layouts.registry import find_takes
from esarm_env.corpus.motion.track import check_rate
from esarm_env.corpus.offsets import OFFSETS_FILE, OffsetTable, open_offsets
from esarm_env.corpus.splits import SPLITS, check_split, choose_splits, parallel_groups
from esarm_env.corpus.survey import TakeIndex, digest_of, survey
from esarm_env.corpus.takes import Fault, Take, TakeNames
from esarm_env.formats.spellings import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

STILL_RANGE = 1e-3  # a channel that moves less than this was not captured
_CAPTURE_SAMPLE = 48  # takes looked at to see which channels move
_HASHED_LABELS = ("id", "speaker", "emotion", "intensity", "text", "sentence", "split")
_TAKES_IN_MEMORY = 2  # neighbouring utterances come from one take


@dataclass(frozen=True)
class _Piece:
    """Position of an utterance in its take, in frames at 30 fps."""

    take: int
    begin: int
    end: int


class FolderCorpus:
    """Corpus of utterances cut from the takes of a folder; implements `Corpus`.

    Attributes:
        name: The folder as given.
        folder: The same as a path.
        layout: Name of the layout it was read as.
        takes: The recordings that can be used, as far as is known.
        records: One per utterance.
        faults: What was left out, with the reason.
        notes: What was mended, with the take.
        inferred_hz: Frame rate taken for motion files that state none; None if there are none.
        split_rule: How the splits were chosen, in words.
        fits: How near motion that was fitted to vertices comes to them, by take; else empty.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        layout: str = "auto",
        verify: bool = False,
        rate_hz: float | None = None,
        head: str | None = None,
    ) -> None:
        """Open `folder`.

        Args:
            folder: In one of the layouts of `esarm_env.corpus.layouts`.
            layout: Name of a layout, or `auto`.
            verify: Read every new take once, with a progress bar, and leave out those whose content
                cannot be used. Otherwise such a take is found when it is read, unless an earlier
                opening has found it.
            rate_hz: Frame rate of all motion, whatever its files say, where they say something
                wrong or nothing; a column `rate` in `metadata.csv` counts more.
            head: Of the layout `vocaset`: the head with the corpus' vertices, by file.

        Raises:
            InputError: If the layout is unknown, no take is usable, `rate_hz` is no frame rate, or
                `head` is missing, another one, or of no use.
        """
        self.name = str(folder)
        self.folder = Path(folder)
        found = find_takes(self.folder, layout, head=head, rate_hz=rate_hz)
        self.layout = found.layout
        self._index = TakeIndex(self.folder, layout=found.layout)
        table = open_offsets(self.folder)
        takes, offsets, doubts = _with_offsets(self.folder, _with_rate(found.takes, rate_hz), table)
        surveyed = survey(takes, offsets, self._index, read_all=verify)
        self.takes: tuple[Take, ...] = surveyed.takes
        self.fits = found.fits
        self.faults: tuple[Fault, ...] = (*found.faults, *doubts, *surveyed.faults)
        self.notes: tuple[Fault, ...] = (*found.notes, *table.notes, *surveyed.notes)
        self.inferred_hz = surveyed.inferred_hz
        if not self.takes:
            raise InputError(_nothing_usable(self.folder, self.faults))
        self._pieces = [
            _Piece(number, begin, end)
            for number, take in enumerate(self.takes)
            for begin, end in self._index.entries[take.id].pieces
        ]
        self.records = tuple(self._record(piece) for piece in self._pieces)
        self._labels, self.split_rule = choose_splits(
            takes=[piece.take for piece in self._pieces],
            speakers=[record.speaker for record in self.records],
            sentences=[self.takes[piece.take].sentence for piece in self._pieces],
            official=[self.takes[piece.take].split for piece in self._pieces],
        )
        self._recent: OrderedDict[int, AlignedTake] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self._pieces)

    def __getitem__(self, index: int) -> Utterance:
        """Read utterance `index`.

        Raises:
            InputError: If its files cannot be used; open the corpus with `verify=True` to leave
                such takes out.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"`index` must be in 0..{len(self) - 1}, got {index}")
        piece = self._pieces[index]
        take = self.read_take(piece.take)
        ratio = SAMPLE_RATE_HZ / FRAME_RATE_HZ
        samples = slice(round(piece.begin * ratio), round(piece.end * ratio))
        motion = take.motion[piece.begin : piece.end]
        return Utterance(self.records[index], take.audio[samples], motion, self.captured)

    def read_take(self, number: int) -> AlignedTake:
        """Read take `number` whole; the last few are kept in memory."""
        if number in self._recent:
            self._recent.move_to_end(number)
            return self._recent[number]
        take = self.takes[number]
        entry = self._index.entries[take.id]
        aligned = read_aligned(
            take,
            rate_hz=entry.rate_hz,
            n_frames=entry.pieces[-1][1],
            offset_s=entry.offset_s,
            clock=entry.clock,
        )
        self._recent[number] = aligned
        while len(self._recent) > _TAKES_IN_MEMORY:
            self._recent.popitem(last=False)
        return aligned

    @functools.cached_property
    def captured(self) -> BoolArray:
        """Shape (52,): the channels that move in a sample of the takes."""
        captured = np.zeros(N_CHANNELS, dtype=np.bool_)
        n_sampled = min(len(self.takes), _CAPTURE_SAMPLE)
        for number in np.linspace(0, len(self.takes) - 1, n_sampled).astype(int).tolist():
            if self.takes[number].motion is None:
                continue
            try:
                take = self.read_take(number)
            except InputError:
                continue  # reading this take raises the same error
            captured |= np.ptp(take.motion, axis=0) > STILL_RANGE
        return captured

    @functools.cached_property
    def content_hash(self) -> str:
        """Digest of every take's audio, motion and labels.

        Reads each take once, then its files' size and time of change stand for it.

        Raises:
            InputError: If a take's content cannot be used.
        """
        digest = hashlib.sha256()
        try:
            for number, take in enumerate(self.takes):
                entry = self._index.entries[take.id]
                if entry.digest is None:
                    entry.digest = digest_of(self.read_take(number))
                labels = [getattr(take, name) for name in _HASHED_LABELS]
                digest.update(json.dumps([labels, entry.pieces, entry.digest]).encode())
        finally:
            self._index.save()
        digest.update(json.dumps(self._labels.tolist()).encode())
        return digest.hexdigest()

    def split(self, name: str) -> IntArray:
        """Return the utterance indices of `train`, `validation` or `test`, ascending."""
        return np.flatnonzero(self._labels == SPLITS.index(check_split(name))).astype(np.int64)

    def parallel_groups(self) -> list[IntArray]:
        """Return the utterances that share speaker and sentence, two emotions or more each."""
        sentences = [
            self.takes[piece.take].sentence if self._is_whole(piece) else None
            for piece in self._pieces
        ]
        return parallel_groups(self.records, sentences)

    def _is_whole(self, piece: _Piece) -> bool:
        """Return whether an utterance is its whole take, so that the take's text is its own."""
        return len(self._index.entries[self.takes[piece.take].id].pieces) == 1

    def _record(self, piece: _Piece) -> Record:
        take = self.takes[piece.take]
        return Record(
            id=f"{take.id}-{piece.begin:05d}",
            speaker=take.speaker,
            emotion=take.emotion,
            intensity=take.intensity,
            text=take.text if self._is_whole(piece) else None,
            n_frames=piece.end - piece.begin,
        )


def _with_offsets(
    folder: Path, takes: Sequence[Take], table: OffsetTable
) -> tuple[tuple[Take, ...], dict[str, float], tuple[Fault, ...]]:
    """Return the takes whose offset is known, the offsets by id, and what is wrong with others."""
    names = TakeNames(folder, takes)
    find = names.called if table.by_file else names.with_id
    doubtful = {find(name): reason for name, reason in table.doubtful.items()}
    faults = [
        Fault(take.id, f"its offset must be corrected, got {doubtful[take.id]}")
        for take in takes
        if take.id in doubtful
    ]
    faults += [
        Fault(OFFSETS_FILE, f"names {name!r:.80}, which is no take, with {reason}")
        for name, reason in table.doubtful.items()
        if find(name) is None
    ]
    offsets = {find(name) or name: seconds for name, seconds in table.offsets.items()}
    kept = tuple(take for take in takes if take.id not in doubtful)
    return kept, offsets, (*table.faults, *table.others, *faults)


def _with_rate(takes: tuple[Take, ...], rate_hz: float | None) -> tuple[Take, ...]:
    """Return the takes with a frame rate for those that `metadata.csv` gives none."""
    if rate_hz is None:
        return takes
    check_rate("`rate_hz`", rate_hz)
    return tuple(
        take if take.rate_hz is not None else replace(take, rate_hz=float(rate_hz))
        for take in takes
    )


def _nothing_usable(folder: Path, faults: tuple[Fault, ...]) -> str:
    """Build the error for a folder without a usable take, with the first few reasons."""
    reasons = "; ".join(printable(str(fault)) for fault in faults[:3])
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return f"{folder}: must hold a usable take, got none ({reasons}{more})"

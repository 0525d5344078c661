"""Audit of a folder of recordings, take by take: `esarm corpus FOLDER --audit`."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.progress import track
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, BoolArray
from esarm_env.core.workers.pool import SerialPool
from esarm_env.corpus.folder import STILL_RANGE, FolderCorpus
from esarm_env.corpus.offsets import SyncEstimate, estimate_offset, read_offsets, write_offsets
from esarm_env.corpus.splits import SPLITS
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.formats.spellings import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.core.workers.pool import Pool
    from esarm_env.corpus.alignment import AlignedTake
    from esarm_env.corpus.vertices.fitting import Fit

CLIPPED_AT, CLIPPED_SHARE = 0.999, 0.02  # a channel at its limit in more than this share of frames
# Many shapes are still for a sentence; one that is still for a paragraph was not tracked.
DEAD_FROM_S = 10.0
# Voice and jaw are not exactly synchronous in speech: up to two frames apart is natural.
LEAST_OFFSET_S = 2.5 / FRAME_RATE_HZ

_PART = 8  # takes that a worker is sent at a time
_MENDED_LINES = 10  # kinds of notes; JSON has all of them, take by take


@dataclass(frozen=True)
class TakeAudit:
    """Findings on one usable take.

    Attributes:
        id: Of the take.
        duration_s: Of its audio.
        notes: What was mended when it was read.
        clipped: Channels that stand at their limit.
        dead: Channels that move elsewhere in the corpus and never in this take, if it is long;
            in a short one, if all of them rest.
        sync: Estimated offset; None where the take cannot tell.
        fit: How near its motion comes to the vertices it was fitted to; None for other motion.
    """

    id: str
    duration_s: float
    notes: tuple[str, ...]
    clipped: tuple[str, ...]
    dead: tuple[str, ...]
    sync: SyncEstimate | None
    fit: Fit | None = None

    @property
    def out_of_sync(self) -> bool:
        """Whether the motion is reliably early or late."""
        return (
            self.sync is not None
            and self.sync.reliable
            and abs(self.sync.offset_s) >= LEAST_OFFSET_S
        )

    @property
    def findings(self) -> list[str]:
        """One line per thing to look at; empty for a clean take. What was mended is in `notes`."""
        lines = []
        if self.clipped:
            lines.append(f"clipped: {', '.join(self.clipped)}")
        if self.dead:
            lines.append(f"dead: {', '.join(self.dead)}")
        if self.fit is not None and self.fit.is_bad:
            lines.append(
                f"coefficients fit its vertices badly: residual {self.fit.residual_mm:.2f} mm"
            )
        if self.out_of_sync and self.sync is not None:
            late = "late" if self.sync.offset_s > 0 else "early"
            lines.append(
                f"motion {abs(self.sync.offset_s):.2f} s {late} (correlation "
                f"{self.sync.correlation:.2f}, as it is {self.sync.correlation_now:.2f})"
            )
        return lines


@dataclass(frozen=True)
class Audit:
    """Audit report of a corpus.

    Attributes:
        corpus: As opened, everything read.
        takes: One per usable take.
    """

    corpus: FolderCorpus
    takes: tuple[TakeAudit, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        corpus = self.corpus
        return {
            "folder": corpus.name,
            "layout": corpus.layout,
            "splits": corpus.split_rule,
            "utterances": len(corpus),
            "speech_s": sum(r.n_frames for r in corpus.records) / FRAME_RATE_HZ,
            "speakers": len({record.speaker for record in corpus.records}),
            "emotions": dict(Counter(record.emotion for record in corpus.records)),
            "inferred_hz": corpus.inferred_hz,
            "not_captured": _names(~corpus.captured),
            "cannot_be_trained_on": _obstacle(corpus),
            "left_out": [asdict(fault) for fault in corpus.faults],
            "mended": [asdict(note) for note in corpus.notes],
            "takes": [{**asdict(take), "findings": take.findings} for take in self.takes],
        }

    def lines(self) -> list[str]:
        """Return the report, one line per fact, worst first."""
        facts = self.to_dict()
        lost = ", ".join(facts["not_captured"])
        rate_hz = facts["inferred_hz"]
        captured = N_CHANNELS - len(facts["not_captured"])
        lines = [
            f"{facts['folder']}: layout {facts['layout']}, {len(self.takes)} takes, "
            f"{facts['utterances']} utterances, {facts['speech_s']:.0f} s, "
            f"{facts['speakers']} speakers",
            f"splits: {facts['splits']}",
            "emotions: " + ", ".join(f"{name} {n}" for name, n in facts["emotions"].items()),
            f"captured channels: {captured} of {N_CHANNELS}"
            + (f"; never move: {lost}" if lost and captured else ""),
            *(
                [f"cannot be trained on: {facts['cannot_be_trained_on']}"]
                if facts["cannot_be_trained_on"]
                else []
            ),
            *_fit_lines(self.takes),
            *([f"frame rate of files that state none: {rate_hz:g} fps"] if rate_hz else []),
            f"left out: {len(facts['left_out'])}",
        ]
        lines += [f"  {printable(str(fault))}" for fault in self.corpus.faults]
        mended = Counter(printable(note.reason) for note in self.corpus.notes)
        lines.append(f"mended: {len({note.source for note in self.corpus.notes})}")
        lines += [f"  {note}: {n} takes" for note, n in mended.most_common(_MENDED_LINES)]
        if len(mended) > _MENDED_LINES:
            lines.append(f"  and {len(mended) - _MENDED_LINES} other kinds")
        odd = [take for take in self.takes if take.findings]
        lines.append(f"to look at: {len(odd)}")
        lines += [f"  {take.id}: {'; '.join(take.findings)}" for take in odd]
        return lines


def audit(corpus: FolderCorpus, *, progress: bool = True, pool: Pool | None = None) -> Audit:
    """Audit every take of a corpus that was opened with `verify=True`.

    Args:
        corpus: Whose takes are read once more.
        progress: Whether to draw a progress bar.
        pool: Workers that share the takes out; the findings are the same.
    """
    workers, takes = pool or SerialPool(), corpus.takes
    workers.share("corpus", corpus)
    parts = [range(len(takes))[begin : begin + _PART] for begin in range(0, len(takes), _PART)]
    bar = iter(track(takes, "Looking at takes", show=progress))
    next(bar, None)  # shown from the beginning

    def advance() -> None:
        for _ in itertools.islice(bar, _PART):
            pass

    found = workers.map(
        _audit_takes,
        parts,
        using=["corpus"],
        label=lambda number: f"auditing takes {takes[parts[number][0]].id!r} and later",
        on_done=advance,
    )
    return Audit(corpus, tuple(itertools.chain.from_iterable(found)))


def correct_offsets(result: Audit) -> Path | None:
    """Write `offsets.csv` for the takes that are reliably out of sync; None if there are none.

    What the file held before is added to: the estimate was made with it applied.
    """
    found = {take.id: take.sync.offset_s for take in result.takes if take.out_of_sync and take.sync}
    if not found:
        return None
    offsets = read_offsets(result.corpus.folder)
    for take, offset_s in found.items():
        offsets[take] = offsets.get(take, 0.0) + offset_s
    return write_offsets(result.corpus.folder, offsets)


def _obstacle(corpus: FolderCorpus) -> str | None:
    """Return why nothing can be learned from a corpus, None if something can."""
    if all(take.motion is None for take in corpus.takes):
        return "no take has motion, so it is good to animate only; `esarm capture` makes motion"
    if not corpus.captured.any():
        return "no channel of its motion moves"
    empty = [split for split in SPLITS if not len(corpus.split(split))]
    return f"no utterance is for {', '.join(empty)}; add recordings" if empty else None


def _audit_takes(part: Sequence[int], *, corpus: FolderCorpus) -> list[TakeAudit]:
    return [_audit_take(corpus, number) for number in part]


def _audit_take(corpus: FolderCorpus, number: int) -> TakeAudit:
    take = corpus.read_take(number)
    return TakeAudit(
        id=corpus.takes[number].id,
        duration_s=len(take.motion) / FRAME_RATE_HZ,
        notes=take.notes,
        clipped=_names(_clipped(take)),
        dead=_names(_dead(take, corpus.captured)),
        fit=corpus.fits.get(corpus.takes[number].id),
        sync=estimate_offset(take.audio, take.motion, take.captured & corpus.captured),
    )


def _fit_lines(takes: Sequence[TakeAudit]) -> list[str]:
    """Return how near fitted motion comes to its vertices, nothing for other motion."""
    fits = [(take.fit.residual_mm, take.id, take.fit) for take in takes if take.fit is not None]
    if not fits:
        return []
    residual, lips, motion = (
        np.median([getattr(fit, name) for *_, fit in fits])
        for name in ("residual_mm", "lips_mm", "motion_mm")
    )
    worst_mm, worst, _ = max(fits, key=lambda each: each[:2])
    return [
        "coefficients are fitted to vertices, and no emotion is known: residual "
        f"{residual:.2f} mm (median of takes; the face moves by {motion:.2f} mm), worst "
        f"{worst_mm:.2f} mm in {printable(worst)}; the farthest lip vertex {lips:.2f} mm"
    ]


def _clipped(take: AlignedTake) -> BoolArray:
    """Return the clipped channels: those at their limit too often to be a pose."""
    return np.asarray((take.motion >= CLIPPED_AT).mean(axis=0) > CLIPPED_SHARE)


def _dead(take: AlignedTake, captured: BoolArray) -> BoolArray:
    """Return the dead channels: those that should move and do not."""
    expected = captured & take.captured
    dead = expected & (np.ptp(take.motion, axis=0) <= STILL_RANGE)
    is_long = len(take.motion) >= DEAD_FROM_S * FRAME_RATE_HZ
    return dead if is_long or (dead == expected).all() else np.zeros_like(dead)


def _names(mask: BoolArray) -> tuple[str, ...]:
    return tuple(name for name, chosen in zip(ARKIT_NAMES, mask, strict=True) if chosen)

"""Measures of a policy on voices without recordings, and of what it may have forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import animate_utterances, joined
from agents.rollout.decoding import Decoding
from agents.rollout.named_decoding import deterministic_decoding
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.liveliness.blinks import find_blinks
from esarm_env.metrics import emotional_vertex_error, lip_vertex_error
from esarm_env.metrics.closure import CLOSED_MM, closed_share
from esarm_env.metrics.mouth import lip_speed, mouth_opening
from esarm_env.task.episode_metrics import EVE, LVE
from reward.plugins.synchrony import best_correlation

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from esarm_env.task.extended import HeardRecording
    from train.speech.recorded import RecordedMotion

NEAR_S = 0.08  # about what viewers forgive, of lips that shut early or late
# Around a p, b or m lips shut and open, however loud it is: synchrony is told without it, too.
SHUTTING_S = 0.1
DECODINGS = ("deterministic", "sampled")


@dataclass(frozen=True)
class Measured:
    """What is said of one figure.

    Attributes:
        text: In words, with its unit.
        better: 1 if higher is better, -1 if lower is, 0 if neither.
    """

    text: str
    better: int


FIGURES: Mapping[str, Measured] = {
    "b": Measured("lips shut within 80 ms of /b/ (share)", 1),
    "p": Measured("lips shut within 80 ms of /p/ (share)", 1),
    "m": Measured("lips shut within 80 ms of /m/ (share)", 1),
    "bilabials": Measured("lips shut at p, b, m, within a frame (share)", 1),
    "vowels": Measured("lips shut in the middle of a vowel (share)", -1),
    "synchrony": Measured("loudness with lip opening (correlation)", 1),
    "open_synchrony": Measured(
        "loudness with lip opening, more than 0.1 s from p, b and m (correlation)", 1
    ),
    "lip_speed": Measured("lip speed (mm/s)", 0),
    "blinks": Measured("blinks a minute", 0),
    LVE: Measured("LVE (mm)", -1),
    EVE: Measured("EVE (mm)", -1),
}


@dataclass(frozen=True)
class Held:
    """A recording to measure on.

    Attributes:
        heard: As it was read.
        pieces: Utterances of its pieces, shape (N,).
        truth: Its motion, where there is any.
    """

    heard: HeardRecording
    pieces: IntArray
    truth: RecordedMotion | None = None


class SpeechMeasures:
    """Figures of held-out recordings: what is heard in them is found once."""

    def __init__(self, task: AnimationTask, held: Sequence[Held]) -> None:
        """Listen to `held`; without the extra `phones`, no phone is known."""
        from esarm_env.corpus.realism.signals import loudness_db, speech_frames

        self._task, self._held = task, held
        self._phones = [_phones_of(each.heard.audio) for each in held]
        loudness = [loudness_db(each.heard.audio, each.heard.speech.n_frames) for each in held]
        self._loudness = [(curve, speech_frames(curve)) for curve in loudness]

    def of(self, policy: MotionTransformer, *, seed: int) -> dict[str, dict[str, DoubleArray]]:
        """Return each of `FIGURES` by recording, (N,), nan where not known, by `DECODINGS`."""
        every = np.concatenate([each.pieces for each in self._held])
        ways = dict(
            zip(DECODINGS, (deterministic_decoding(policy), Decoding(temperature=1.0)), strict=True)
        )
        found = {}
        for name, decoding in ways.items():
            written = animate_utterances(policy, self._task, every, decoding=decoding, seed=seed)
            begin, rows = 0, []
            for number, each in enumerate(self._held):
                end = begin + len(each.pieces)
                rows.append(self._figures(number, joined(each.heard.speech, written[begin:end])))
                begin = end
            found[name] = {key: np.array([row[key] for row in rows]) for key in FIGURES}
        return found

    def _figures(self, number: int, motion: FloatArray) -> dict[str, float]:
        """Return the figures of one animation (T, 52)."""
        task, held = self._task, self._held[number]
        opening = mouth_opening(motion, head=task.head, captured=task.corpus.captured)
        speed = lip_speed(motion, head=task.head, captured=task.corpus.captured)
        row = dict.fromkeys(FIGURES, float("nan"))
        row |= _at_phones(opening, self._phones[number])
        row["lip_speed"] = float(speed[0])
        row["blinks"] = len(find_blinks(motion)) * 60 * FRAME_RATE_HZ / len(motion)
        if np.isfinite(opening).all():
            loudness, speech = self._loudness[number]
            seen = opening[: len(loudness)]
            row["synchrony"] = best_correlation(loudness, seen, speech)
            apart = _away_from(self._phones[number], len(loudness))
            if apart is not None:
                row["open_synchrony"] = best_correlation(loudness, seen, speech & apart)
        if held.truth is not None:
            count = min(len(motion), len(held.truth.motion))
            known: dict[str, Any] = {"head": task.head, "captured": held.truth.captured}
            pair = motion[None, :count], held.truth.motion[None, :count]
            row[LVE] = float(lip_vertex_error(*pair, **known)[0])
            row[EVE] = float(emotional_vertex_error(*pair, **known)[0])
        return row


# Of the run's own recordings: `measure`'s keys, with what is better.
OLD_FIGURES: Mapping[str, Measured] = {
    LVE: Measured("LVE (mm)", -1),
    EVE: Measured("EVE (mm)", -1),
    "fdd_absolute": Measured("FDD, absolute (mm²)", -1),
    "opening_correlation": Measured("lip opening with the truth (correlation)", 1),
    "closure_event_f1": Measured("closure-event F1", 1),
    "emotion_accuracy": Measured("emotion recognised (share)", 1),
}


def old_figures(
    policies: Mapping[str, MotionTransformer],
    task: AnimationTask,
    utterances: IntArray,
    *,
    seed: int,
) -> dict[str, dict[str, dict[str, FloatArray]]]:
    """Return each of `OLD_FIGURES`, (N,) each, by policy and by `DECODINGS`.

    Args:
        policies: Of the run.
        task: Of the run.
        utterances: Shape (N,), of the validation split.
        seed: Of sampling.
    """
    from train.rows import greedy, sampled
    from train.run_report.metric_rows import measure_rows

    written = {}
    for name, policy in policies.items():
        for row, decoding in (
            (greedy(name), deterministic_decoding(policy)),
            (sampled(name), Decoding(temperature=1.0)),
        ):
            written[row] = animate_utterances(
                policy, task, utterances, decoding=decoding, seed=seed
            )
    motions = {row: task.decode(each) for row, each in written.items()}
    measured = measure_rows(task, motions, utterances)
    known = {row: measured[row] | task.errors(each) for row, each in written.items()}
    return {
        name: {
            way: {key: known[row][key] for key in OLD_FIGURES}
            for way, row in zip(DECODINGS, (greedy(name), sampled(name)), strict=True)
        }
        for name in policies
    }


_Phones = dict[str, "DoubleArray"]


def _phones_of(audio: FloatArray) -> _Phones | None:
    """Return the times of b, p, m and vowels, (n, 2) each, in s; None without the extra."""
    from esarm_env.audio.encoders.phone_spans import phone_spans
    from esarm_env.core.errors import MissingExtraError
    from train.speech.closure import VOWELS

    try:
        spans = phone_spans(audio)
    except MissingExtraError:
        return None
    wanted = {"b": {"b"}, "p": {"p", "pʰ"}, "m": {"m"}, "vowels": VOWELS}
    return {
        name: np.array(
            [(span.start_s, span.end_s) for span in spans if span.label in labels]
        ).reshape(-1, 2)
        for name, labels in wanted.items()
    }


def _away_from(phones: _Phones | None, n_frames: int) -> BoolArray | None:
    """Return which frames (n_frames,) are no p, b or m and not next to one; None if not known."""
    if phones is None:
        return None
    times = np.arange(n_frames)[:, None] / FRAME_RATE_HZ
    begin, end = np.concatenate([phones[name] for name in "bpm"]).T
    near = (times > begin - SHUTTING_S) & (times < end + SHUTTING_S)  # (n_frames, phones)
    away: BoolArray = ~near.any(axis=1)
    return away


def _at_phones(opening: DoubleArray, phones: _Phones | None) -> dict[str, float]:
    """Return the shares of phones at which lips are shut."""
    if phones is None or not np.isfinite(opening).all():
        return {}
    last_s = (len(opening) - 1) / FRAME_RATE_HZ
    inside = {name: times[times[:, 0] < last_s] for name, times in phones.items()}
    bilabials = np.concatenate([inside[name] for name in "bpm"])
    shares = {
        name: closed_share(opening, intervals=[inside[name]], margin_s=NEAR_S) for name in "bpm"
    } | {"bilabials": closed_share(opening, intervals=[bilabials])}
    middles = np.round(inside["vowels"].mean(axis=1) * FRAME_RATE_HZ).astype(np.int64)
    shut = opening[np.minimum(middles, len(opening) - 1)] < CLOSED_MM
    found = {name: float(share[0]) for name, share in shares.items()}
    return found | ({"vowels": float(shut.mean())} if len(shut) else {})

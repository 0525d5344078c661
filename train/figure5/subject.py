"""Subject of the figure: an utterance of the run's corpus, or a voice without recorded motion."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import (
    EMOTIONS,
    FRAME_RATE_HZ,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
)
from esarm_env.corpus.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from esarm_env.audio.encoders.phone_spans import PhoneSpan
    from esarm_env.core.types import BoolArray, Corpus, FloatArray, Record

LONGEST_S = 60.0  # of a voice: the web page holds its sound, and must stay below some megabytes
_NEAR_NAMES = 3


@dataclass(frozen=True)
class Subject:
    """What is animated.

    Attributes:
        name: Id of the utterance, or name of the sound file.
        condition: Emotion, intensity and speaker in words.
        text: What is said, or None where nobody tells.
        audio: Shape (n_samples,) at 16 kHz.
        n_frames: At 30 fps.
        phones: In order of time, as a recogniser hears them; none where they are not known.
        index: Of the utterance in the corpus; None for a voice without recorded motion.
        captured: Shape (52,), what the corpus measured; all True for a voice.
        notes: What the reader of the figure must know, a line each.
    """

    name: str
    condition: str
    text: str | None
    audio: FloatArray
    n_frames: int
    phones: tuple[PhoneSpan, ...]
    index: int | None
    captured: BoolArray
    notes: tuple[str, ...] = ()

    @property
    def phones_note(self) -> str:
        """What the reader must know of the phones; empty where none is known."""
        if not self.phones:
            return ""
        heard = "phones as a recogniser hears them, which may be wrong"
        return heard if self.index is None else f"{heard}; lips as recorded"

    @property
    def duration_s(self) -> float:
        """Length of the motion."""
        return self.n_frames / FRAME_RATE_HZ

    def phone_at(self, frame: int) -> str:
        """Return the phone that is spoken at a frame; empty in pauses and where none is known."""
        time_s = frame / FRAME_RATE_HZ
        found = (span.label for span in self.phones if span.start_s <= time_s < span.end_s)
        return next(found, "")


def utterance_subject(corpus: Corpus, index: int, *, phones: bool = True) -> Subject:
    """Return an utterance of a corpus as the subject; `phones` are heard, which takes a while."""
    spoken = corpus[index]
    record = spoken.record
    split = next((name for name in SPLITS if index in corpus.split(name)), "none")
    notes = () if split == "test" else (f"{record.id} is of the split {split}, not of test",)
    heard, told = heard_phones(spoken.audio) if phones else ((), ())
    return Subject(
        record.id,
        f"{record.emotion} {record.intensity}/3, speaker {record.speaker}",
        record.text,
        spoken.audio,
        record.n_frames,
        heard,
        index,
        corpus.captured,
        (*notes, *told),
    )


def shown_part(audio: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the first `LONGEST_S` of a voice, and a line that says so where that is not all."""
    if len(audio) <= LONGEST_S * SAMPLE_RATE_HZ:
        return audio, ()
    note = f"the first {LONGEST_S:g} s of {len(audio) / SAMPLE_RATE_HZ:.1f} s"
    return audio[: int(LONGEST_S * SAMPLE_RATE_HZ)], (note,)


def voice_subject(
    name: str,
    audio: FloatArray,
    *,
    condition: str,
    n_frames: int,
    text: str | None = None,
    notes: tuple[str, ...] = (),
) -> Subject:
    """Return a voice without recorded motion as the subject.

    Args:
        name: Of the sound file.
        audio: Shape (n_samples,) at 16 kHz.
        condition: Emotion and speaker in words.
        n_frames: Of the motion.
        text: What is said, if that is known.
        notes: What the reader must know, a line each.
    """
    phones, told = heard_phones(audio)
    unseen = "no recorded motion: no row of it, and no error"
    every = np.ones(N_CHANNELS, dtype=np.bool_)
    said = (unseen, *notes, *told)
    return Subject(name, condition, text, audio, n_frames, phones, None, every, said)


def heard_phones(audio: FloatArray) -> tuple[tuple[PhoneSpan, ...], tuple[str, ...]]:
    """Return the phones of a recording; without the extra none, and a line that says so."""
    from esarm_env.audio.encoders.phone_spans import phone_spans

    try:
        return phone_spans(audio), ()
    except (MissingExtraError, InputError) as error:
        return (), (f"no phones beside the frames: {error}",)


def find_utterance(
    corpus: Corpus,
    *,
    utterance: str | None = None,
    sentence: str | None = None,
    emotion: str | None = None,
) -> int:
    """Return the index of an utterance.

    Args:
        corpus: Of the run.
        utterance: Its id, of any split.
        sentence: What is said in it, or a part of that; case and punctuation do not count.
        emotion: One of the nine.

    By sentence or emotion it is the test utterance of the greatest intensity that fits, of several
    the first; with nothing asked for, of those that show an emotion.

    Raises:
        InputError: If there is none; the message names those that are near.
    """
    records = corpus.records
    if utterance is not None:
        ids = [record.id for record in records]
        if utterance not in ids:
            held_out = [ids[int(index)] for index in corpus.split("test")]
            raise InputError(
                f"`utterance` must be one of the {len(ids)} of {corpus.name}, got {utterance!r}; "
                f"{_near(utterance, ids) or 'test utterances are ' + _some(held_out)}"
            )
        return ids.index(utterance)
    _check_emotion(corpus, emotion)
    test = [int(index) for index in corpus.split("test")]
    if not test:
        raise InputError(
            f"{corpus.name}: must have test utterances, got none; name another with --utterance"
        )
    fitting = test if sentence is None else _saying(records, test, sentence)
    shown = [i for i in fitting if emotion in (None, records[i].emotion)]
    if not shown:
        others = sorted({records[i].emotion for i in fitting})
        raise InputError(
            f"`emotion` must be one that the sentence is said with in the test split "
            f"({', '.join(others)}), got {emotion!r}"
        )
    moved = [i for i in shown if records[i].emotion != "neutral"] or shown
    return max(moved if emotion is None else shown, key=lambda i: (records[i].intensity, -i))


def _check_emotion(corpus: Corpus, emotion: str | None) -> None:
    """Refuse an emotion that no test utterance shows."""
    shown = {corpus.records[int(index)].emotion for index in corpus.split("test")}
    known = [name for name in EMOTIONS if name in shown]
    if emotion is not None and emotion not in known:
        raise InputError(
            f"`emotion` must be one of the test split of {corpus.name} ({', '.join(known)}), "
            f"got {emotion!r}"
        )


def _saying(records: Sequence[Record], test: Iterable[int], sentence: str) -> list[int]:
    """Return the test utterances in which `sentence` is said."""
    said = {index: text for index in test if (text := records[index].text) is not None}
    if not said:
        raise InputError(
            "`sentence` must be of a corpus that tells what is said, got one that does not; "
            "name an utterance with --utterance"
        )
    asked = _plain(sentence)
    found = [index for index, text in said.items() if asked and asked in _plain(text)]
    if not found:
        texts = sorted(set(said.values()))
        raise InputError(
            f"`sentence` must be said in a test utterance, got {sentence!r}; "
            f"{_near(sentence, texts) or 'some are: ' + _some(texts)}"
        )
    return found


def _plain(text: str) -> str:
    kept = "".join(c if c.isalnum() else " " for c in text.casefold())
    return " ".join(kept.split())


def _near(name: str, known: Sequence[str]) -> str:
    """Return a question after near names; empty if none is near."""
    near = difflib.get_close_matches(name, known, n=_NEAR_NAMES)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _NEAR_NAMES else ""
    return ", ".join(map(repr, names[:_NEAR_NAMES])) + more

"""Corpus cut at a number of frames: the beginning of every utterance, audio and motion alike."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, Utterance

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, Corpus, IntArray


class CutCorpus:
    """The first frames of each utterance of a corpus; implements `Corpus`.

    Ids, labels and splits are those of the whole utterances, so what was held out still is. The
    text is left out: nobody knows how far it is spoken by then. Utterances that are shorter stay
    as they are.
    """

    def __init__(self, corpus: Corpus, n_frames: int) -> None:
        """Cut `corpus` behind `n_frames` frames (30 a second), at least 1.

        Raises:
            InputError: If `n_frames` is below 1.
        """
        if n_frames < 1:
            raise InputError(f"`n_frames` must be at least 1, got {n_frames}")
        self._corpus, self._n_frames = corpus, n_frames
        self.name: str = corpus.name
        self.captured: BoolArray = corpus.captured
        self.records = tuple(
            replace(record, n_frames=min(record.n_frames, n_frames), text=None)
            for record in corpus.records
        )

    @property
    def content_hash(self) -> str:
        """Hexadecimal digest that changes with the whole corpus and with the cut."""
        whole = f"{self._corpus.content_hash}/first {self._n_frames} frames"
        return hashlib.sha256(whole.encode()).hexdigest()

    def __len__(self) -> int:
        """Return the number of utterances, that of the whole corpus."""
        return len(self._corpus)

    def __getitem__(self, index: int) -> Utterance:
        """Read utterance `index` and cut it; the arrays are fresh copies."""
        whole, record = self._corpus[index], self.records[index]
        audio = whole.audio
        if record.n_frames < whole.record.n_frames:
            audio = audio[: record.n_frames * SAMPLE_RATE_HZ // FRAME_RATE_HZ]
        motion = whole.motion[: record.n_frames]
        return Utterance(record, audio.copy(), motion.copy(), whole.captured)

    def split(self, name: str) -> IntArray:
        """Return the utterance indices of a split, those of the whole corpus."""
        return self._corpus.split(name)

"""What a synthetic corpus is made of: speakers x sentences x emotions, divided into splits.

`synthetic-mead` mirrors MEAD (parallel sentences, 7 emotions at 3 intensities and neutral),
`synthetic-ravdess` mirrors RAVDESS (2 sentences, 8 emotions, 24 speakers, 2 repetitions).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from esarm_env.corpus.synthetic.sentences import MEAD_SENTENCES, RAVDESS_SENTENCES
from esarm_env.errors import InputError

SMALLEST_SIZE = 8


@dataclass(frozen=True)
class SyntheticDesign:
    """The plan of a corpus; everything in it depends on these values alone.

    Train holds training speakers saying training sentences. Validation and test hold sentences
    that train never has; test says one half of its own with training speakers and the other with
    speakers nobody else hears. With `split_sentences` False (too few sentences) validation and
    test hold speakers that train never has instead.

    Attributes:
        name: Name the corpus is opened by.
        sentences: What is said; the first `n_train_sentences` in train, the next
            `n_validation_sentences` in validation, the rest in test.
        emotions: Without neutral, which every design has.
        intensities: Of the emotions; neutral is always 1.
        n_speakers: The first `n_train_speakers` in train; where `split_sentences` is False the
            next `n_validation_speakers` in validation; the rest in test.
        n_train_speakers: See `n_speakers`.
        n_validation_speakers: See `n_speakers`; 0 with `split_sentences`.
        n_train_sentences: See `sentences`; all of them without `split_sentences`.
        n_validation_sentences: See `sentences`; 0 without `split_sentences`.
        split_sentences: Whether sentences divide the splits.
        n_repetitions: How often a speaker says the same sentence the same way.
        size: Number of utterances, at least 8, at most `capacity`.
        seed: Of speakers, timing and noise.
    """

    name: str
    sentences: tuple[str, ...]
    emotions: tuple[str, ...]
    intensities: tuple[int, ...]
    n_speakers: int
    n_train_speakers: int
    n_validation_speakers: int
    n_train_sentences: int
    n_validation_sentences: int
    split_sentences: bool
    n_repetitions: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the size against what the grid can give."""
        if not SMALLEST_SIZE <= self.size <= self.capacity:
            limits = f"{SMALLEST_SIZE}..{self.capacity}"
            raise InputError(f"`size` must be in {limits} for {self.name!r}, got {self.size}")
        if self.seed < 0:
            raise InputError(f"`seed` must be at least 0, got {self.seed}")

    @property
    def n_sentences(self) -> int:
        """Number of different sentences."""
        return len(self.sentences)

    @property
    def n_ways(self) -> int:
        """Utterances a speaker can make of one sentence."""
        return (1 + len(self.emotions) * len(self.intensities)) * self.n_repetitions

    @property
    def capacity(self) -> int:
        """Number of utterances of the full grid, all splits together."""
        return sum(block.n_groups for block in self.blocks()) * self.n_ways

    def blocks(self) -> tuple[Block, ...]:
        """Return the rectangles of speakers x sentences that make up the splits."""
        speakers = _cut(self.n_speakers, self.n_train_speakers, self.n_validation_speakers)
        sentences = _cut(self.n_sentences, self.n_train_sentences, self.n_validation_sentences)
        if not self.split_sentences:
            shares = (0.75, 0.10, 0.15)
            splits = ("train", "validation", "test")
            return tuple(
                Block(split, who, sentences[0], share)
                for split, who, share in zip(splits, speakers, shares, strict=True)
            )
        return (
            Block("train", speakers[0], sentences[0], 0.75),
            Block("validation", speakers[0], sentences[1], 0.10),
            Block("test", speakers[0], sentences[2], 0.075),
            Block("test", speakers[2], sentences[2], 0.075),
        )


@dataclass(frozen=True)
class Block:
    """Part of a split: every one of `speakers` may say every one of `sentences`."""

    split: str
    speakers: range
    sentences: range
    share: float

    @property
    def n_groups(self) -> int:
        """Number of pairs of a speaker and a sentence."""
        return len(self.speakers) * len(self.sentences)

    def groups(self, start: int) -> Iterator[tuple[int, int]]:
        """Yield (speaker, sentence), every speaker once before one comes again.

        The sentence moves on with the speaker too, so that few groups already hold many. `start`
        is the place of the first speaker.
        """
        n_speakers, n_sentences = len(self.speakers), len(self.sentences)
        stride = max(1, n_sentences // n_speakers)
        for turn, place in itertools.product(range(n_sentences), range(n_speakers)):
            speaker = self.speakers[(start + place) % n_speakers]
            yield speaker, self.sentences[(place * stride + turn) % n_sentences]


def synthetic_design(name: str, *, size: int | None = None, seed: int = 0) -> SyntheticDesign:
    """Return one of the two designs.

    Args:
        name: `synthetic-mead` or `synthetic-ravdess`.
        size: Number of utterances; None is 3072 for the first (of 33528 possible) and the full
            1440 for the second.
        seed: Draws other speakers, timing and noise.

    Raises:
        InputError: If the name is unknown or the size out of range.
    """
    if name not in _DESIGNS:
        raise InputError(f"`name` must be one of {tuple(_DESIGNS)}, got {name!r}")
    design = _DESIGNS[name]
    return dataclasses.replace(design, size=design.size if size is None else size, seed=seed)


def _cut(n: int, n_first: int, n_second: int) -> tuple[range, range, range]:
    second = n_first + n_second
    return range(n_first), range(n_first, second), range(second, n)


_DESIGNS = {
    "synthetic-mead": SyntheticDesign(
        name="synthetic-mead",
        sentences=MEAD_SENTENCES,
        emotions=("angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised"),
        intensities=(1, 2, 3),
        n_speakers=12,
        n_train_speakers=9,
        n_validation_speakers=0,
        n_train_sentences=116,
        n_validation_sentences=16,
        split_sentences=True,
        n_repetitions=1,
        size=3072,
    ),
    "synthetic-ravdess": SyntheticDesign(
        name="synthetic-ravdess",
        sentences=RAVDESS_SENTENCES,
        emotions=("calm", "happy", "sad", "angry", "fear", "disgusted", "surprised"),
        intensities=(2, 3),  # RAVDESS's "normal" and "strong"
        n_speakers=24,
        n_train_speakers=18,
        n_validation_speakers=2,
        n_train_sentences=2,
        n_validation_sentences=0,
        split_sentences=False,
        n_repetitions=2,
        size=1440,
    ),
}

"""Design of a synthetic corpus: speakers x sentences x emotions, splits, list of utterances.

`synthetic-mead` mirrors MEAD (parallel sentences, 7 emotions at 3 intensities and neutral),
`synthetic-ravdess` mirrors RAVDESS (2 sentences, 8 emotions, 24 speakers, 2 repetitions). A corpus
smaller than the full grid is a balanced choice from it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from esarm_env.core.errors import InputError
from esarm_env.corpus.synthetic.sentences import MEAD_SENTENCES, RAVDESS_SENTENCES

SMALLEST_SIZE = 8


@dataclass(frozen=True)
class SyntheticDesign:
    """Configuration that fully determines a synthetic corpus.

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
        """Return the blocks of speakers x sentences that make up the splits."""
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
    """Block of a split: the grid of `speakers` x `sentences`."""

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


def at_most_all(size: int, name: str) -> int:
    """Return the size of a corpus of a preset: all there is, where a design has fewer utterances.

    Args:
        size: Utterances that are wanted.
        name: Of a corpus, synthetic or not.
    """
    return min(size, _DESIGNS[name].capacity) if name in _DESIGNS else size


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


@dataclass(frozen=True)
class PlannedUtterance:
    """One planned utterance; `speaker` and `sentence` are indices into the design."""

    split: str
    speaker: int
    sentence: int
    emotion: str
    intensity: int
    repetition: int

    @property
    def id(self) -> str:
        """Unique within a design, and the same whatever the size of the corpus."""
        base = f"S{self.speaker + 1:02d}_{self.sentence + 1:03d}_{self.emotion}_{self.intensity}"
        return base if self.repetition == 0 else f"{base}_r{self.repetition + 1}"


def plan(design: SyntheticDesign) -> tuple[PlannedUtterance, ...]:
    """List the utterances of `design`: balanced over emotions, speakers and sentences.

    A smaller corpus keeps every speaker and emotion as long as it can, by saying fewer sentences
    and then each in fewer emotions.
    """
    blocks = design.blocks()
    quotas = _quotas(design, blocks)
    lines: list[PlannedUtterance] = []
    for index in range(len(blocks)):
        n_groups = _n_groups(design, blocks, index, quota=quotas[index])
        # Each block starts with another speaker, or the first ones would fill the small splits.
        start = len(blocks[index].speakers) * index // len(blocks)
        groups = list(itertools.islice(blocks[index].groups(start), n_groups))
        lines += _fill(design, blocks[index], groups, quota=quotas[index], offset=len(lines))
    return tuple(lines)


def _n_groups(design: SyntheticDesign, blocks: tuple[Block, ...], index: int, *, quota: int) -> int:
    """Choose how many parallel groups share `quota`: whole ones, unless speakers would be left out.

    Where speakers are heard in no earlier block, up to half of the groups may be single
    utterances to hear them all; elsewhere every group is a pair at least.
    """
    block = blocks[index]
    heard = {speaker for earlier in blocks[:index] for speaker in earlier.speakers}
    most = quota // 2 if heard.issuperset(block.speakers) else -(-2 * quota // 3)
    whole = -(-quota // (1 + len(design.emotions)))
    return min(max(whole, min(len(block.speakers), most), 1), block.n_groups)


def _fill(
    design: SyntheticDesign,
    block: Block,
    groups: list[tuple[int, int]],
    *,
    quota: int,
    offset: int,
) -> Iterator[PlannedUtterance]:
    for index, (speaker, sentence) in enumerate(groups):
        n = quota // len(groups) + (index < quota % len(groups))
        ways = _ways(design, offset, speaker + sentence)
        for emotion, intensity, repetition in itertools.islice(ways, n):
            yield PlannedUtterance(block.split, speaker, sentence, emotion, intensity, repetition)
        offset += n


def _ways(design: SyntheticDesign, offset: int, turn: int) -> Iterator[tuple[str, int, int]]:
    """Yield (emotion, intensity, repetition), cycling through emotions before intensities.

    `offset` rotates the emotions, `turn` and the emotion's place the intensity that comes first.
    """
    emotions = ("neutral", *design.emotions)
    n_levels = len(design.intensities)
    for repetition, level in itertools.product(range(design.n_repetitions), range(n_levels)):
        for step in range(len(emotions)):
            place = (offset + step) % len(emotions)
            if place > 0:
                intensity = design.intensities[(turn + place + level) % n_levels]
                yield emotions[place], intensity, repetition
            elif level == 0:
                yield "neutral", 1, repetition


def _quotas(design: SyntheticDesign, blocks: tuple[Block, ...]) -> list[int]:
    """Distribute `design.size` over blocks; overflow goes to the emptiest other block."""
    room = [block.n_groups * design.n_ways for block in blocks]
    quotas = [
        min(max(1, round(block.share * design.size)), limit)
        for block, limit in zip(blocks, room, strict=True)
    ]
    while (missing := design.size - sum(quotas)) != 0:
        step = 1 if missing > 0 else -1
        open_blocks = [i for i in range(len(blocks)) if 0 < quotas[i] + step <= room[i]]
        # The block furthest behind (or ahead of) its share of what is being given out.
        pick = min(open_blocks, key=lambda i: step * (quotas[i] / blocks[i].share))
        quotas[pick] += step
    return quotas

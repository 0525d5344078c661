"""Which utterances of a design a corpus of its size holds: a balanced choice from the full grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from esarm_env.corpus.synthetic.design import Block, SyntheticDesign


@dataclass(frozen=True)
class PlannedUtterance:
    """One line of the plan; `speaker` and `sentence` are indices into the design."""

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
    """Yield (emotion, intensity, repetition): each emotion once, then each again stronger.

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
    """Share `design.size` out; what does not fit into a block goes to the emptiest other one."""
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

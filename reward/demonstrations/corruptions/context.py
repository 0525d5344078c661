"""What a corruption may know and use: the task, the utterance, and other animations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esarm_env.types import BoolArray, FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from esarm_env.task import AnimationTask

SPLITS = ("train", "validation", "test")


class RollOut(Protocol):
    """A policy that writes whole sequences; `reward` sees no more of it than this.

    A row must depend on its own utterance, condition and seeds alone, not on the others.
    """

    def __call__(
        self,
        utterances: IntArray,
        *,
        condition: FloatArray,
        temperature: float,
        epsilon: float,
        seeds: IntArray,
    ) -> Trajectories:
        """Write one animation per entry.

        Args:
            utterances: Shape (N,), repeats are allowed.
            condition: Shape (N, C).
            temperature: 0 is greedy, 1 the policy's own distribution.
            epsilon: Share of tokens drawn uniformly instead.
            seeds: Shape (N, n), each row the seed of one sequence.
        """


class Donors:
    """Other utterances to take motion from, of the same split, so that no test motion leaks."""

    def __init__(self, task: AnimationTask) -> None:
        """Look at the labels of `task`'s corpus."""
        self._task = task
        records = task.corpus.records
        self._labels = {
            name: np.array([str(getattr(record, name)) for record in records])
            for name in ("speaker", "emotion", "intensity", "text")
        }
        self._split = np.full(len(records), -1)
        for number, name in enumerate(SPLITS):
            self._split[task.corpus.split(name)] = number
        self._decoded: dict[int, FloatArray] = {}

    def other_sentence(self, utterance: int, rng: np.random.Generator) -> int:
        """Draw an utterance with other words, at least as long if there is one."""
        allowed = self._others(utterance)
        words = allowed & ~self._same(utterance, "text")
        long = words & (self._task.n_frames >= self._task.n_frames[utterance])
        return self._draw((long, words, allowed), utterance, rng, "another utterance")

    def other_emotion(self, utterance: int, rng: np.random.Generator) -> int:
        """Draw an utterance of another emotion: parallel, or of the speaker, or any."""
        allowed = self._others(utterance) & ~self._same(utterance, "emotion")
        return self._draw(self._nearest(utterance, allowed), utterance, rng, "another emotion")

    def other_intensity(self, utterance: int, rng: np.random.Generator) -> int:
        """Draw an utterance of the same emotion at another intensity, likewise."""
        allowed = self._others(utterance) & self._same(utterance, "emotion")
        allowed &= ~self._same(utterance, "intensity")
        return self._draw(self._nearest(utterance, allowed), utterance, rng, "another intensity")

    def has_other_intensity(self, utterance: int) -> bool:
        """Return whether `other_intensity` finds one; neutral has a single intensity."""
        allowed = self._others(utterance) & self._same(utterance, "emotion")
        return bool((allowed & ~self._same(utterance, "intensity")).any())

    def motion(self, utterance: int, *, decoded: bool) -> FloatArray:
        """Return the recorded motion (T, 52), through the tokenizer if `decoded`; do not write."""
        if not decoded:
            return self._task.corpus[utterance].motion
        if utterance not in self._decoded:
            motion = self._task.tokenizer.decode(self._task.demonstration(utterance))
            self._decoded[utterance] = motion[: self._task.n_frames[utterance]]
        return self._decoded[utterance]

    def _others(self, utterance: int) -> BoolArray:
        others: BoolArray = self._split == self._split[utterance]
        others[utterance] = False
        return others

    def _same(self, utterance: int, label: str) -> BoolArray:
        same: BoolArray = self._labels[label] == self._labels[label][utterance]
        return same

    def _nearest(self, utterance: int, allowed: BoolArray) -> tuple[BoolArray, ...]:
        speaker = allowed & self._same(utterance, "speaker")
        return speaker & self._same(utterance, "text"), speaker, allowed

    def _draw(
        self, wishes: tuple[BoolArray, ...], utterance: int, rng: np.random.Generator, what: str
    ) -> int:
        """Draw from the first of `wishes` that anything meets."""
        number = rng.random()
        for wish in wishes:
            found = np.flatnonzero(wish)
            if len(found):
                return int(found[int(number * len(found))])
        name = self._task.corpus.records[utterance].id
        raise ValueError(f"the split of {name!r} must hold {what} as a donor, got none")


@dataclass(frozen=True)
class Context:
    """Around one animation.

    Attributes:
        task: Corpus, tokenizer and conditions.
        utterance: Whose audio it answers.
        donors: Of the task; made once, shared by all contexts.
        tokens: What the motion was decoded from, shape (L,); None for a recording. Donors are then
            decoded too, so that the tokenizer's own error marks no side.
        partner: Tokens of another animation, shape (L,): the worse one of a mixture, or the donor
            that is used in place of a recorded one.
        condition: What the animation was made for, shape (C,); None is the recorded one.
        roll_out: The policy, for those families that ask it again.
    """

    task: AnimationTask
    utterance: int
    donors: Donors
    tokens: IntArray | None = None
    partner: IntArray | None = None
    condition: FloatArray | None = None
    roll_out: RollOut | None = None

    def tokens_of(self, motion: FloatArray) -> IntArray:
        """Return the tokens that stand for `motion` (T, 52)."""
        return self.task.tokenizer.encode(motion) if self.tokens is None else self.tokens

    def decode(self, tokens: IntArray) -> FloatArray:
        """Return the motion of `tokens` (L,), in whole chunks."""
        return self.task.tokenizer.decode(tokens)

    def donor(
        self, choose: Callable[[int, np.random.Generator], int], rng: np.random.Generator
    ) -> FloatArray:
        """Return the motion (T', 52) of the partner, or of the recording that `choose` draws."""
        chosen = choose(self.utterance, rng)
        if self.partner is not None:
            return self.decode(self.partner)
        return self.donors.motion(chosen, decoded=self.tokens is not None)

    def own_condition(self) -> FloatArray:
        """Return the condition the animation was made for, shape (C,)."""
        if self.condition is not None:
            return self.condition
        recorded: FloatArray = self.task.condition_of(np.array([self.utterance]))[0]
        return recorded

    def roll_out_one(self, condition: FloatArray, *, temperature: float, seed: int) -> IntArray:
        """Return the policy's tokens (L,) under another setting.

        Raises:
            ValueError: If the context has no policy.
        """
        if self.roll_out is None:
            raise ValueError(
                "`context.roll_out` must be a policy for this family, got None; "
                "pass the one that made the animation"
            )
        made = self.roll_out(
            np.array([self.utterance]),
            condition=condition[None],
            temperature=temperature,
            epsilon=0.0,
            seeds=np.array([[seed]]),
        )
        return made.tokens[0, : int(made.lengths[0])]

"""Inputs of a corruption: the task, the utterance, and donor animations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

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
        self.task = task
        records = task.corpus.records
        self._labels = {
            name: np.array([str(getattr(record, name)) for record in records])
            for name in ("speaker", "emotion", "intensity", "text")
        }
        self._split = np.full(len(records), -1)
        for number, name in enumerate(SPLITS):
            self._split[task.corpus.split(name)] = number
        self._decoded: dict[int, FloatArray] = {}

    def draw(
        self,
        kind: str,
        utterance: int,
        rng: np.random.Generator,
        *,
        among: IntArray | None = None,
    ) -> int:
        """Draw another utterance of the same split.

        One number is drawn, whatever there is to choose from.

        Args:
            kind: `sentence` (other words, at least as long if there is one), `emotion` (another
                one, of a parallel utterance if there is one, else of the same speaker if there is
                one), or `intensity` (another one of the same emotion, likewise).
            utterance: For which.
            rng: What to draw with.
            among: Utterances to choose from; by default all.

        Raises:
            ValueError: If there is none.
        """
        number = rng.random()
        for wish in self._wishes(kind, utterance, among):
            found = np.flatnonzero(wish)
            if len(found):
                return int(found[int(number * len(found))])
        name = self.task.corpus.records[utterance].id
        raise ValueError(f"the split of {name!r} must hold another {kind} as a donor, got none")

    def has(self, kind: str, utterance: int) -> bool:
        """Return whether there is one to draw; neutral, say, has a single intensity."""
        return bool(self._wishes(kind, utterance, None)[-1].any())

    def motion(self, utterance: int, *, decoded: bool) -> FloatArray:
        """Return the recorded motion (T, 52), through the tokenizer if `decoded`; do not write."""
        if not decoded:
            return self.task.corpus[utterance].motion
        if utterance not in self._decoded:
            motion = self.task.tokenizer.decode(self.task.recorded_tokens(utterance))
            self._decoded[utterance] = motion[: self.task.n_frames[utterance]]
        return self._decoded[utterance]

    def _wishes(self, kind: str, utterance: int, among: IntArray | None) -> tuple[BoolArray, ...]:
        """Return what is wanted most, and what would do."""
        allowed: BoolArray = self._split == self._split[utterance]
        allowed[utterance] = False
        if among is not None:
            allowed &= np.isin(np.arange(len(allowed)), among)

        def same(label: str) -> BoolArray:
            equal: BoolArray = self._labels[label] == self._labels[label][utterance]
            return equal

        if kind == "sentence":
            words = allowed & ~same("text")
            return words & (self.task.n_frames >= self.task.n_frames[utterance]), words, allowed
        if kind == "emotion":
            allowed &= ~same("emotion")
        else:
            allowed &= same("emotion") & ~same("intensity")
        speaker = allowed & same("speaker")
        return speaker & same("text"), speaker, allowed


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

    def donor(self, kind: str, rng: np.random.Generator) -> FloatArray:
        """Return the motion (T', 52) of the partner, or else of a recording of that `kind`."""
        if self.partner is not None:
            rng.random()
            return self.decode(self.partner)
        chosen = self.donors.draw(kind, self.utterance, rng)
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

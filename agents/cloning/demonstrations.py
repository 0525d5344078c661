"""Demonstrations: whole sequences of tokens, recorded or made, each for an utterance of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray, SequenceTask

HELD_OUT = 0.1


@dataclass(frozen=True)
class Demonstrations:
    """Sequences to clone; an utterance may have several.

    Attributes:
        utterances: Shape (N,), indices into the task.
        tokens: Shape (N, L), int64, padded with -1.
        lengths: Shape (N,), tokens of each row.
        condition: Shape (N, condition_dim), float32.
    """

    utterances: IntArray
    tokens: IntArray
    lengths: IntArray
    condition: FloatArray

    def __post_init__(self) -> None:
        """Check shapes and types, and that the padding agrees with `lengths`."""
        for name, n_axes in (("utterances", 1), ("tokens", 2), ("lengths", 1), ("condition", 2)):
            part = np.asarray(getattr(self, name))
            if part.ndim != n_axes or part.shape[0] != len(self.utterances):
                raise ValueError(
                    f"`{name}` must have {n_axes} axes and {len(self.utterances)} rows "
                    f"(one per utterance), got shape {part.shape}"
                )
            kind = np.floating if name == "condition" else np.integer
            if not np.issubdtype(part.dtype, kind):
                raise ValueError(f"`{name}` must hold {kind.__name__} values, got {part.dtype}")
            wanted = np.float32 if name == "condition" else np.int64
            object.__setattr__(self, name, part.astype(wanted))
        if len(self) == 0:
            raise ValueError("demonstrations must hold at least one utterance, got none")
        inside = np.arange(self.tokens.shape[1]) < self.lengths[:, None]
        fits = (self.lengths >= 1) & (self.lengths <= self.tokens.shape[1])
        wrong = ~fits | ((self.tokens >= 0) != inside).any(axis=1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                "`tokens` must be at least 0 up to their length and -1 after it, got "
                f"length {self.lengths[row]} and tokens {self.tokens[row].tolist()} in row {row}"
            )

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.utterances)

    @classmethod
    def recorded(cls, task: SequenceTask, utterances: IntArray) -> Demonstrations:
        """Return the recordings of `utterances` (N,) under their recorded conditions.

        Raises:
            ValueError: If `utterances` is empty.
        """
        if len(utterances) == 0:
            raise ValueError("`utterances` must hold at least one utterance, got none")
        return cls(
            utterances=utterances,
            tokens=task.demonstrations(utterances),
            lengths=task.lengths[utterances],
            condition=task.condition_of(utterances),
        )

    def rows(self, chosen: IntArray) -> Demonstrations:
        """Return the `chosen` rows, trimmed to the longest of them."""
        width = int(self.lengths[chosen].max(initial=0))
        return Demonstrations(
            utterances=self.utterances[chosen],
            tokens=self.tokens[chosen, :width],
            lengths=self.lengths[chosen],
            condition=self.condition[chosen],
        )

    def check_for(self, task: SequenceTask) -> None:
        """Check that `task` has these utterances, tokens and conditions.

        Raises:
            ValueError: If an index, a token, a length or the condition's width is not the task's.
        """
        n_utterances = len(task.lengths)
        bad = (self.utterances < 0) | (self.utterances >= n_utterances)
        if bad.any():
            raise ValueError(
                f"`utterances` must be in [0, {n_utterances - 1}], "
                f"got {self.utterances[bad].tolist()[:8]}"
            )
        if self.tokens.max() >= task.n_tokens:
            row = int(self.tokens.max(axis=1).argmax())
            raise ValueError(
                f"`tokens` must be below {task.n_tokens}, got {self.tokens.max()} in row {row}; "
                "is it the tokenizer that wrote them?"
            )
        wanted = task.lengths[self.utterances]
        if (self.lengths != wanted).any():
            row = int(np.flatnonzero(self.lengths != wanted)[0])
            raise ValueError(
                "`lengths` must be those of the task's audio, got "
                f"{self.lengths[row]} in row {row}, whose utterance has {wanted[row]}"
            )
        if self.condition.shape[1] != task.condition_dim:
            raise ValueError(
                f"`condition` must be {task.condition_dim} wide, got {self.condition.shape[1]}"
            )

    def hold_out(
        self, *, rng: np.random.Generator, share: float = HELD_OUT
    ) -> tuple[Demonstrations, Demonstrations]:
        """Split off about `share` of the utterances, at least one, with all their sequences.

        Raises:
            ValueError: If there are fewer than two utterances.
        """
        names = np.unique(self.utterances)
        if len(names) < 2:
            raise ValueError(
                f"demonstrations must be of at least 2 utterances to hold one out, got {len(names)}"
                "; pass `validation`"
            )
        n_held = min(max(1, round(share * len(names))), len(names) - 1)
        held = np.isin(self.utterances, rng.permutation(names)[:n_held])
        return self.rows(np.flatnonzero(~held)), self.rows(np.flatnonzero(held))

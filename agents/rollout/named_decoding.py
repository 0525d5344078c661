"""Decodings by name: what a user asks for, and what a network is decoded by where nobody does.

`auto` leaves nothing to chance and decodes by expected distance wherever the network knows the
distances of its codes: validation utterances came nearer to the recordings by it
(`docs/howto/animate.md` has the figures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.rollout.decoding import (
    BY_BEAM,
    BY_DISTANCE,
    BY_MEDIAN,
    COLDEST,
    GREEDILY,
    GREEDY,
    SAMPLED,
    Decoding,
    distance_table,
    least_expected_distance,
)
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from agents.network.transformer import MotionTransformer

AUTO = "auto"
DETERMINISTIC = (AUTO, GREEDILY, BY_DISTANCE)
NAMES = (*DETERMINISTIC, BY_MEDIAN, SAMPLED, BY_BEAM)
BEAM = 4  # hypotheses, where beam search is asked for by name alone
MEDIAN_OF = 32  # samples, where their median is asked for by name alone


def check_deterministic(choice: str) -> None:
    """Check a name of decoding without chance.

    Raises:
        InputError: If it is unknown.
    """
    if choice not in DETERMINISTIC:
        raise InputError(
            f"`deterministic_decoding` must be one of {', '.join(DETERMINISTIC)}, got {choice!r}"
        )


def deterministic_tokens(
    model: MotionTransformer, logits: Tensor, slots: Tensor, *, choice: str
) -> Tensor:
    """Return a token per row, shape (B,), without chance, rows at any slot of a chunk.

    Args:
        model: Knows distances of codes, or not.
        logits: Shape (B, K).
        slots: Shape (B,), integers.
        choice: As of `deterministic_decoding`.

    Raises:
        InputError: As `deterministic_decoding`.
    """
    if not deterministic_decoding(model, choice).expected_distance:
        return logits.argmax(-1)
    return least_expected_distance(logits, distance_table(model)[slots.long()])


def deterministic_decoding(model: MotionTransformer, choice: str = AUTO) -> Decoding:
    """Return how `model` is decoded where nothing is left to chance.

    Args:
        model: Knows distances of codes, or not.
        choice: `greedy`, `expected-distance`, or `auto`: the latter where the distances are known.

    Raises:
        InputError: If `choice` is none of these, or needs distances that are not known.
    """
    check_deterministic(choice)
    if choice == BY_DISTANCE:
        distance_table(model)
    by_distance = choice == BY_DISTANCE or (choice == AUTO and model.knows_distances)
    return Decoding(expected_distance=by_distance)


@dataclass(frozen=True)
class NamedDecoding:
    """A decoding as the command line asks for it: by name, before there is a network.

    Attributes:
        name: `greedy`, `expected-distance`, `median`, `sampled`, `beam`, or `auto`: sampled where a
            setting of sampling is given, greedy at a temperature of 0, else
            `deterministic_decoding`.
        temperature: Of sampling; None is 1 there. 0 takes the most likely token, as everywhere.
        top_k: Of sampling, see `Decoding`.
        top_p: Of sampling.
        beam: Hypotheses of `beam`; 0 stands for 4.
        median_of: Samples of `median`; 0 stands for 32.
    """

    name: str = AUTO
    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    beam: int = 0
    median_of: int = 0

    def __post_init__(self) -> None:
        """Check the name, and that each setting belongs to it."""
        if self.name not in NAMES:
            raise InputError(f"`decoding` must be one of {', '.join(NAMES)}, got {self.name!r}")
        if self.beam and self.name != BY_BEAM:
            raise InputError(f"`beam` must be left out of {self.name} decoding, got {self.beam}")
        if self.median_of and self.name != BY_MEDIAN:
            raise InputError(
                f"`median_of` must be left out of {self.name} decoding, got {self.median_of}"
            )
        if self._samples and self.name not in (AUTO, SAMPLED, BY_MEDIAN):
            raise InputError(
                f"`temperature`, `top_k` and `top_p` must be left out of {self.name} decoding, got "
                f"{self.temperature}, {self.top_k} and {self.top_p}; they are of sampled decoding"
            )
        if self.name in (SAMPLED, BY_MEDIAN) and self.temperature == GREEDY:
            raise InputError(
                f"`temperature` must be at least {COLDEST} to sample, got {self.temperature}; "
                f"`decoding` {GREEDILY} takes the most likely token"
            )
        self._stated()

    @property
    def _samples(self) -> bool:
        return bool(self.temperature) or self.top_k != 0 or self.top_p != 1

    def _stated(self) -> Decoding | None:
        """Return the decoding, None where it takes a network to tell."""
        try:
            if self.name in (SAMPLED, BY_MEDIAN) or (self.name == AUTO and self._samples):
                warmth = 1.0 if self.temperature is None else self.temperature
                several = (self.median_of or MEDIAN_OF) if self.name == BY_MEDIAN else 0
                return Decoding(warmth, 0.0, self.top_k, self.top_p, median_of=several)
            if self.name == AUTO and self.temperature == GREEDY:
                return Decoding()
            return Decoding(beam=self.beam or BEAM) if self.name == BY_BEAM else None
        except ValueError as error:
            raise InputError(str(error)) from error

    def of(self, model: MotionTransformer) -> Decoding:
        """Return the decoding of `model`.

        Raises:
            InputError: If it needs distances of codes that are not known.
        """
        return self._stated() or deterministic_decoding(model, self.name)

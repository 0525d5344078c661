"""Base class of corruption families: one kind of damage, graded by a strength.

Three levels: damage to the motion, damage to its tokens (which are then decoded), and roll-outs
under another setting of the policy. All answer to `Family.corrupt`; strength 0 changes nothing, and
damage grows with strength. The random choices of a call (where, which donor, which sign) must not
depend on the strength, so that equal generators make a ladder of one and the same damage.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from esarm_env.core.types import (
    MOUTH,
    N_CHANNELS,
    STREAMS,
    UPPER,
    BoolArray,
    FloatArray,
    IntArray,
)
from esarm_env.face.names import MOUTH_CHANNELS, UPPER_CHANNELS
from reward.demonstrations.corruptions.context import Context

CHANNELS = {MOUTH: MOUTH_CHANNELS, UPPER: UPPER_CHANNELS}
BOTH = frozenset(STREAMS)

DamageMotion = Callable[[FloatArray, float, np.random.Generator, Context], FloatArray]
DamageTokens = Callable[[IntArray, float, np.random.Generator, Context], IntArray]


@dataclass(frozen=True)
class Setting:
    """What a policy is asked to do instead of its best.

    Attributes:
        condition: Shape (C,).
        temperature: Of sampling; 0 is greedy.
    """

    condition: FloatArray
    temperature: float = 0.0


ChooseSetting = Callable[[float, np.random.Generator, Context], Setting]


@dataclass(frozen=True)
class Family(ABC):
    """One way of making an animation worse.

    Attributes:
        name: What it is asked for by.
        damages: Which of `mouth` and `upper` it can change; the other stream's channels come out
            untouched, bit by bit.
        about: One line.
        needs_partner: Whether `Context.partner` must be given: a worse animation to the same audio.
        donor: Which other utterance it takes from (`sentence`, `emotion`, `intensity`), or none.
    """

    name: str
    damages: frozenset[str]
    about: str
    needs_partner: bool = False
    donor: str = ""

    def corrupt(
        self,
        motion: FloatArray,
        *,
        strength: float,
        rng: np.random.Generator,
        context: Context,
    ) -> FloatArray:
        """Return damaged motion, shape (T, 52) in [0, 1], a fresh array.

        Args:
            motion: Shape (T, 52), in [0, 1].
            strength: 0 (unchanged) to 1 (worst).
            rng: Its choices are the same at every strength.
            context: The utterance, and where other animations come from.

        Raises:
            ValueError: If shape or strength are wrong, or the context lacks what is needed.
        """
        if motion.ndim != 2 or motion.shape[1] != N_CHANNELS or len(motion) == 0:
            raise ValueError(f"`motion` must have shape (T, {N_CHANNELS}), got {motion.shape}")
        self._check(strength, context)
        result = motion.copy()
        if strength > 0:
            made = self._damage(motion, strength, rng, context)
            for stream in self.damages:
                part = CHANNELS[stream]
                result[:, part] = np.clip(made[:, part], 0, 1)
        return result

    def only(self, stream: str) -> Family:
        """Return this family with its damage confined to one stream, named `STREAM:NAME`.

        Raises:
            ValueError: If it does not damage that stream.
        """
        if stream not in self.damages:
            allowed = " or ".join(sorted(self.damages))
            raise ValueError(
                f"`stream` must be one that {self.name!r} damages ({allowed}), got {stream!r}"
            )
        return replace(self, name=f"{stream}:{self.name}", damages=frozenset({stream}))

    def _check(self, strength: float, context: Context) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"`strength` must be in [0, 1], got {strength}")
        if self.needs_partner and context.partner is None:
            raise ValueError(
                f"`context.partner` must be given for {self.name!r}, got None; "
                "it is the tokens of the other animation"
            )

    @abstractmethod
    def _damage(
        self, motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
    ) -> FloatArray:
        """Return the damaged motion; `strength` is above 0."""


@dataclass(frozen=True)
class MotionFamily(Family):
    """Damages motion as such."""

    act: DamageMotion = lambda motion, strength, rng, context: motion

    def _damage(
        self, motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
    ) -> FloatArray:
        return self.act(motion, strength, rng, context)


@dataclass(frozen=True)
class TokenFamily(Family):
    """Damages tokens; any motion is changed by the difference that this makes once decoded."""

    act: DamageTokens = lambda tokens, strength, rng, context: tokens

    def corrupt_tokens(
        self, tokens: IntArray, *, strength: float, rng: np.random.Generator, context: Context
    ) -> IntArray:
        """Return damaged tokens, shape (L,) like `tokens`, a fresh array.

        Raises:
            ValueError: If the strength is wrong, or the context lacks what is needed.
        """
        self._check(strength, context)
        if strength == 0:
            return tokens.copy()
        made = self.act(tokens, strength, rng, context)
        slots = damaged_slots(len(tokens), self.damages, token_streams=context.task.token_streams)
        return np.where(slots, made, tokens)

    def _damage(
        self, motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
    ) -> FloatArray:
        tokens = context.tokens_of(motion)
        made = self.corrupt_tokens(tokens, strength=strength, rng=rng, context=context)
        change = context.decode(made) - context.decode(tokens)
        result: FloatArray = motion + change[: len(motion)]
        return result


@dataclass(frozen=True)
class PolicyFamily(Family):
    """The policy's own roll-out under another setting; its zero is the greedy roll-out."""

    act: ChooseSetting = lambda strength, rng, context: Setting(context.own_condition())

    def _damage(
        self, motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
    ) -> FloatArray:
        setting = self.act(strength, rng, context)
        tokens = context.roll_out_one(
            setting.condition, temperature=setting.temperature, seed=draw_seed(rng)
        )
        return context.decode(tokens)[: len(motion)]


def draw_seed(rng: np.random.Generator) -> int:
    """Return a seed for one sequence."""
    return int(rng.integers(2**31))


def damaged_slots(
    length: int, damages: frozenset[str], *, token_streams: Sequence[str]
) -> BoolArray:
    """Return which of `length` tokens belong to the streams in `damages`, shape (length,).

    Args:
        length: Of whole chunks.
        damages: Names of streams.
        token_streams: Stream of each token of a chunk; streams may have unlike numbers of tokens.
    """
    damaged = np.isin(np.array(token_streams), sorted(damages))  # (per_chunk,)
    return np.tile(damaged, length // len(damaged))


def row_rng(seed: int, *, utterance: int, sample: int, family: str) -> np.random.Generator:
    """Return the generator of one animation's damage: the same at all strengths of its ladder.

    A family confined to one stream makes the same choices as the whole family.
    """
    name = family.rpartition(":")[2]
    return np.random.default_rng([seed, utterance, sample, zlib.crc32(name.encode())])

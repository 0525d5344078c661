"""Settings of learning from speech alone; light, since the command line shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from esarm_env.core.errors import InputError
from esarm_env.core.training.ranges import (
    ABOVE_0,
    AT_LEAST_2,
    BETWEEN_0_AND_1,
    MAY_BE_0,
    check_ranges,
    ranges,
)

CLOSURE, DETECTED_CLOSURE = "phone-closure", "closure"
# No term needs recorded motion. `synchrony` varies least among samples of an utterance (by 0.05 to
# 0.1, `phone-closure` by 0.3), and lips that shut at a loud b cost it some: with less than 20 it
# falls. `learned` by chunk moves the upper face as well: at weight 1 and these at 3, blinks died.
DEFAULT_REWARD: Mapping[str, float] = {
    "learned": 0.5,
    CLOSURE: 2.5,
    "synchrony": 20.0,
    "liveliness": 1.0,
    "emotion": 0.5,
}


@ranges(
    iterations=MAY_BE_0,
    samples_per_utterance=AT_LEAST_2,
    learning_rate=ABOVE_0,
    rehearsals=MAY_BE_0,
    rehearsal_rate=ABOVE_0,
    test_share=BETWEEN_0_AND_1,
    confidence=BETWEEN_0_AND_1,
)
@dataclass(frozen=True)
class SpeechSettings:
    """How a policy learns from speech alone.

    Attributes:
        policy: The policy to start from: `clone`, one that `improve` trained, or `auto`, the one
            that `esarm animate` would take.
        reward: Names with weights; none may need recorded motion. `phone-closure` asks for shut
            lips at the p, b and m that the extra `phones` hears. Empty stands for the default,
            whose terms that the run cannot score are left out.
        iterations: Roll-outs and updates.
        n_episodes: Animations per iteration.
        samples_per_utterance: Animations of an iteration that share one piece of speech.
        learning_rate: Learning rate (AdamW) of reinforcement learning.
        kl_coef: Weight of the divergence per token from the policy to start from.
        rehearsals: Minibatches of the run's training recordings that are cloned after every
            iteration, so that nothing is forgotten.
        rehearsal_sequences: Recordings in one such minibatch.
        rehearsal_rate: Learning rate of cloning them.
        test_share: Share of the recordings that is kept to measure on, if no other folder is given.
        old_utterances: Validation utterances of the run's corpus that are measured as well.
        confidence: Confidence level of the intervals.
    """

    policy: str = "auto"
    reward: dict[str, float] = field(default_factory=dict)
    iterations: int = 16
    n_episodes: int = 64
    samples_per_utterance: int = 8
    learning_rate: float = 3e-4
    kl_coef: float = 0.5
    rehearsals: int = 2
    rehearsal_sequences: int = 16
    rehearsal_rate: float = 1e-4
    test_share: float = 0.2
    old_utterances: int = 96
    confidence: float = 0.95

    def check(self) -> None:
        """Check the ranges of all settings.

        Raises:
            InputError: If one is out of its range, or two do not go together.
        """
        check_ranges(self)
        if self.n_episodes % self.samples_per_utterance:
            raise InputError(
                f"`n_episodes` must be a multiple of `samples_per_utterance` "
                f"({self.samples_per_utterance}), got {self.n_episodes}"
            )

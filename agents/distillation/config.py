"""Settings of distillation, as a run has them under `improve.distillation`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from esarm_env.core.errors import InputError
from esarm_env.core.training.ranges import ABOVE_0, MAY_BE_0, SHARE, check_ranges, ranges

BY_DISTANCE, BEST_OF_N, CHUNK_BEST = "expected-distance", "best-of-n", "chunk-best"
TEACHERS = (BY_DISTANCE, BEST_OF_N, CHUNK_BEST)
CLONE, SELF = "clone", "self"
_BY_DISTANCE_ALONE = ("distance_scale_mm", "risk_coef", "own_share")


@ranges(
    distance_scale_mm=MAY_BE_0,
    target_coef=MAY_BE_0,
    risk_coef=MAY_BE_0,
    own_share=SHARE,
    samples_per_utterance=MAY_BE_0,
    recordings_coef=MAY_BE_0,
    answers_iterations=MAY_BE_0,
    samples_coef=MAY_BE_0,
    entropy_floor=SHARE,
    learning_rate=ABOVE_0,
    kl_coef=MAY_BE_0,
)
@dataclass(frozen=True)
class DistillationConfig:
    """Settings of distillation; what is not here is that of all algorithms (`improve`).

    The defaults are those that keep the spread. On 150 validation utterances of the demo, against
    the clone (LVE / EVE in mm; energy score of lips / upper face, 60 utterances, lower is better):
    greedy -0.05 [-0.09, -0.02] / -0.17 [-0.21, -0.13], energy +0.014 [-0.018, +0.048] / +0.008
    [-0.019, +0.034], where decoding the clone by expected distance gains -0.09 / -0.20. Plain
    cross-entropy (`fit_temperature` 1, `samples_coef` 0) makes greedy no better, -0.02 [-0.05,
    +0.03] / -0.17, and energy worse by +0.10 [+0.04, +0.20] / +0.11 [+0.07, +0.16].

    Attributes:
        teacher: What is written down as targets: `expected-distance`, `best-of-n` or `chunk-best`.
        teacher_policy: Who writes: the frozen `clone`, or the policy as it is (`self`).
        distance_scale_mm: Width in mm of soft targets by expected distance; 0 takes only the token
            that the teacher wrote.
        fit_temperature: Temperature at which the policy is fitted to the targets; 0 stands for 0.2
            by expected distance, and for 1 where samples are the targets.
        target_coef: Weight of the cross-entropy on the targets.
        risk_coef: Weight of the policy's risk per mm: by how much farther off its tokens at
            `fit_temperature` are, as the teacher expects it, than the teacher's choice (minimum
            risk training, Shen et al. 2016). By expected distance alone.
        own_share: Share of the sequences that the policy writes itself, greedily, and at each token
            of which the teacher says what it would have written (Agarwal et al. 2024). By expected
            distance alone.
        recordings_coef: Weight of the cross-entropy on recorded tokens.
        answers_iterations: Number of first iterations in which the policy learns how recordings
            answer its own samples (DAgger); after them it takes the clone's place.
        samples_coef: Weight of the divergence of the clone from the policy on sampled sequences.
        entropy_floor: Share of the clone's entropy below which the policy's is made to rise.
        iterations: Number of iterations, each a roll-out and its updates; `answers_iterations` are
            the first of them.
        n_episodes: Episodes per iteration.
        batch_tokens: Tokens per minibatch, padding counted.
        samples_per_utterance: Samples to choose the best of (`best-of-n`, `chunk-best`); 0 stands
            for 8 there, and for 1 by expected distance.
        n_epochs: Passes over an iteration's targets.
        learning_rate: Learning rate (AdamW). In a run it rises over three iterations and falls
            along a cosine, and once more after `answers_iterations`.
        kl_coef: Weight of the divergence of the policy from the clone on the targets.
    """

    teacher: str = BY_DISTANCE
    teacher_policy: str = CLONE
    distance_scale_mm: float = 0.0
    fit_temperature: float = 0.0
    target_coef: float = 1.0
    risk_coef: float = 0.0
    own_share: float = 0.0
    recordings_coef: float = 0.0
    answers_iterations: int = 0
    samples_coef: float = 0.3
    entropy_floor: float = 0.0
    iterations: int = 12
    n_episodes: int = 96
    batch_tokens: int = 2048
    samples_per_utterance: int = 0
    n_epochs: int = 2
    learning_rate: float = 3e-4
    kl_coef: float = 0.0

    def filled(self) -> DistillationConfig:
        """Return the same with the numbers that a 0 stands for.

        What is sampled is no token that should always come out on top: fitted at a low temperature
        to targets that vary, a policy gets flatter at temperature 1 than what wrote them.
        """
        by_distance = self.teacher == BY_DISTANCE
        return replace(
            self,
            fit_temperature=self.fit_temperature or (0.2 if by_distance else 1.0),
            samples_per_utterance=self.samples_per_utterance or (1 if by_distance else 8),
        )

    def check(self) -> None:
        """Check all settings, also against each other.

        Raises:
            ValueError: If one is out of its range, or of no use beside another.
        """
        check_ranges(self)
        for name, choices in (("teacher", TEACHERS), ("teacher_policy", (CLONE, SELF))):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"`{name}` must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        for name in _BY_DISTANCE_ALONE:
            if getattr(self, name) and self.teacher != BY_DISTANCE:
                raise InputError(
                    f"`{name}` must be 0 where `teacher` is {self.teacher!r}, got "
                    f"{getattr(self, name)}: only {BY_DISTANCE!r} tells how far tokens are"
                )
        if self.own_share and self.distance_scale_mm:
            raise InputError(
                f"`distance_scale_mm` must be 0 beside `own_share` {self.own_share}, got "
                f"{self.distance_scale_mm}; `risk_coef` weighs tokens by their distance, too"
            )
        if not (self.target_coef or self.risk_coef):
            raise InputError(
                "`target_coef` and `risk_coef` must not both be 0: nothing would be learnt"
            )
        if self.teacher != BY_DISTANCE and self.filled().samples_per_utterance < 2:
            least = "to stitch from" if self.teacher == CHUNK_BEST else "to choose from"
            raise InputError(
                f"`samples_per_utterance` must be at least 2 where `teacher` is {self.teacher!r}, "
                f"got {self.samples_per_utterance}: there is nothing {least}"
            )


# As a run distils: recordings make a better teacher first, and the policy takes its decoding over,
# by risk, half of it after what it wrote itself. On 200 validation utterances of the demo greedy
# gains -0.060 [-0.086, -0.035] / -0.188 [-0.227, -0.154] on the clone's, and is level with the
# clone's expected-distance decoding, +0.011 [-0.029, +0.042] / -0.004 [-0.017, +0.009]; its own
# such decoding is -0.021 [-0.041, -0.002] / -0.006 [-0.016, +0.004] better, and samples are by
# -0.171 / -0.224. Energy scores rise by 0.024 and 0.048. By cross-entropy alone, on what the
# teacher writes, these are -0.040 / -0.162, +0.043 / +0.021, +0.025 / +0.003 and -0.093 / -0.031.
FROM_RECORDINGS = DistillationConfig(
    answers_iterations=14,
    iterations=34,
    target_coef=0.25,
    risk_coef=20.0,
    own_share=0.5,
    samples_coef=0.0,
    kl_coef=0.1,
    n_epochs=1,
    learning_rate=2e-4,
)

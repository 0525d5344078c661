"""Settings of the corpus and of stages whose settings have no other place."""

from __future__ import annotations

from dataclasses import dataclass

from agents.distillation.config import FROM_RECORDINGS, DistillationConfig
from esarm_env.core.deprecation import renamed_fields
from esarm_env.core.training.ranges import ABOVE_0, AT_LEAST_2, BETWEEN_0_AND_1, MAY_BE_0, ranges


@ranges(size=MAY_BE_0, seed=MAY_BE_0)
@dataclass(frozen=True)
class CorpusConfig:
    """Which speech and motion to learn from.

    Attributes:
        name: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings.
        layout: Layout of a folder, such as `mead`, or `auto`; `esarm plugins` lists them.
        size: Utterances of a synthetic corpus; 0 means all.
        seed: Random seed of a synthetic corpus.
        encoder: Audio features: `logmel`, `logmel-running` (which streams), `phones+logmel` (extra
            `phones`), `phones`, `wavlm` or `wavlm:FOLDER`; the how-to on audio features has the
            others.
        rate: Frame rate of the motion in a folder, whatever its files state; 0 believes them.
        head: Head on which coefficients are fitted to recorded vertices such as VOCASET's: the path
            of one with these vertices (FLAME's generic_model.pkl), or `esarm`, ours.
    """

    name: str = "synthetic-mead"
    layout: str = "auto"
    size: int = 2000
    seed: int = 0
    encoder: str = "logmel"
    rate: float = 0.0
    head: str = ""

    @property
    def in_words(self) -> str:
        """What it is, in words: `320 utterances of synthetic-mead`, or a folder."""
        from esarm_env.corpus.opening import CORPUS_NAMES  # soundfile; settings are read without it

        counted = self.size and self.name in CORPUS_NAMES
        return f"{self.size} utterances of {self.name}" if counted else self.name


@ranges(train_utterances=MAY_BE_0)
@dataclass(frozen=True)
class DemonstrateConfig:
    """Ranked roll-outs of the clone.

    Attributes:
        epsilons: Noise levels: shares of actions that are random (the paper's Table II).
        rollouts: Roll-outs per utterance and noise level.
        train_utterances: Number of training utterances to roll out, evenly spaced; 0 means all.
    """

    epsilons: tuple[float, ...] = (0.02, 0.25, 0.5, 0.75, 1.0)
    rollouts: int = 1
    train_utterances: int = 480


@renamed_fields(batch_size="batch_tokens", kl_target="reference_kl_target")
@ranges(learning_rate=ABOVE_0, value_warmup=MAY_BE_0, workers=MAY_BE_0)
@dataclass(frozen=True)
class ImproveConfig:
    """Reinforcement learning on the terminal reward.

    Attributes:
        algorithms: Algorithms to train with, each from the clone: what `esarm plugins` lists, or
            one's own as `file.py:Class` or `package.module:Class`.
        reward: Reward to maximise: what `esarm plugins` lists, or weights by name, such as
            `{learned: 1, jerk: -0.1}`.
        iterations: Number of iterations, each a roll-out and its updates.
        n_episodes: Episodes per iteration.
        samples_per_utterance: Episodes of an iteration that share an utterance.
        batch_tokens: Tokens per minibatch, padding counted (PPO).
        learning_rate: Learning rate (AdamW).
        kl_coef: Weight of the KL divergence per token from the clone.
        reference_kl_target: KL divergence per token from the clone, in nats, that `kl_coef` is
            adapted to; 0 keeps `kl_coef` fixed.
        reference_averaging: How far the reference of this divergence moves towards the policy after
            every iteration, from 0 (it stays the clone) to 1.
        temperature: Sampling temperature while learning, above 0.
        value_warmup: Number of first iterations in which only the value head learns (PPO).
        stream_advantages: Whether mouth and upper-face tokens get advantages of their own: `on`,
            `off`, or `auto`, which is on if the reward scores mouth and upper face apart.
        chunk_credit: Algorithms in which a token is credited with what its own and later chunks
            earn, if the reward scores chunks; in other algorithms, with the whole return.
        chunk_discount: Factor, per chunk, by which later chunks count less.
        look_ahead_chunks: Chunks before its own that a token changes, too, and is credited for.
        spread_coef: Weight of the mean distance in mm between an utterance's samples, a bonus in
            the algorithms of `chunk_credit`.
        alarm: What to do when the score rises while a true error rises, too, on validation
            utterances: `off` (no check), `warn`, or `stop` with the best weights.
        evaluate_every: Iterations between two measurements of the true errors.
        evaluate_utterances: Validation utterances that these are measured on.
        interpolation: Whether to measure policies between the clone and each improved one on
            validation utterances: `off`, `report`, or also to take one in place of the improved
            policy, that of lowest `true-error` or by a rule that needs `no-recordings`.
        workers: Processes that write and score the episodes, with the extra `ray`; 0 does it in
            this one. Results do not depend on it.
        distillation: Settings of the algorithm `distillation`, beside those above.
        code: Files or modules of the algorithms and rewards that are one's own, which are called by
            their classes; filled in from `algorithms` and `reward`.
    """

    algorithms: tuple[str, ...] = ("ppo", "reinforce", "distillation")
    reward: str | dict[str, float] = "learned"
    iterations: int = 12
    n_episodes: int = 64
    samples_per_utterance: int = 4
    batch_tokens: int = 4096
    learning_rate: float = 1e-4
    kl_coef: float = 0.3
    reference_kl_target: float = 0.0
    reference_averaging: float = 0.0
    temperature: float = 1.0
    value_warmup: int = 0
    stream_advantages: str = "auto"
    chunk_credit: tuple[str, ...] = ("ppo",)
    chunk_discount: float = 0.7
    look_ahead_chunks: int = 1
    spread_coef: float = 0.0
    alarm: str = "off"
    evaluate_every: int = 5
    evaluate_utterances: int = 48
    interpolation: str = "off"
    workers: int = 0
    distillation: DistillationConfig = FROM_RECORDINGS
    code: tuple[str, ...] = ()


@ranges(
    energy_samples=AT_LEAST_2,  # a pair of samples tells how far apart they are
    extra_utterances=MAY_BE_0,
    confidence=BETWEEN_0_AND_1,
)
@dataclass(frozen=True)
class EvaluateConfig:
    """Figures on the held-out test utterances.

    Attributes:
        head: Where errors are measured: `esarm`, or the path of a FLAME, ICT-FaceKit or glTF head.
        samples: Sampled animations per utterance for the rows called "sampled".
        energy_samples: Sampled animations per utterance for energy scores, at least 2.
        temperatures: Sampling temperatures of the clone to try beside 1, on validation; the one
            with the best energy scores there gets rows on the test utterances. An empty list tries
            1 alone.
        extra_utterances: Test utterances for energy scores and the order of intensities, which need
            several animations of each; 0 means all.
        resamples: Number of bootstrap resamples over utterances.
        confidence: Confidence level of the intervals.
    """

    head: str = "esarm"
    samples: int = 2
    energy_samples: int = 8
    temperatures: tuple[float, ...] = (0.5, 0.7, 0.85)
    extra_utterances: int = 40
    resamples: int = 2000
    confidence: float = 0.95

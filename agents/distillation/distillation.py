"""Distillation over whole sequences: expert iteration with a teacher that needs no gradient.

Each iteration draws utterances, lets a teacher write targets, and takes cross-entropy steps on
them. What keeps the spread of the samples meanwhile is said by settings of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from agents.common.advantages import per_token
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import OwnEpisodes, ratio_figures, to_tensor_like
from agents.distillation.answering import answers_loss, check_answers
from agents.distillation.config import BEST_OF_N, BY_DISTANCE, CHUNK_BEST, CLONE, DistillationConfig
from agents.distillation.losses import (
    divergence,
    entropy,
    fit,
    mean_inside,
    mean_where,
    nearest_tokens,
    positive,
    risk,
    soft_targets,
)
from agents.distillation.teachers import (
    best_of_each,
    check_chunks,
    chunk_best,
    joined,
    marked,
)
from agents.protocols import find_in_env, utterance_shares
from agents.rollout.buffer import EpisodeBuffer
from agents.rollout.decoding import Decoding, distance_table
from agents.rollout.episodes import draw_utterances
from agents.rollout.wrapped_episodes import RolloutPlan
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.policy import MotionPolicy
    from agents.protocols import IntArray
    from agents.rollout.buffer import EpisodeBatch
    from agents.rollout.wrappers import Wrapping
    from esarm_env.core.training.replicas import Part

_OURS = (
    "teacher",
    "teacher_policy",
    "distance_scale_mm",
    "fit_temperature",
    "target_coef",
    "risk_coef",
    "own_share",
    "recordings_coef",
    "answers_iterations",
    "samples_coef",
    "entropy_floor",
)
_DEFAULT = DistillationConfig()
# Of the base, and of no use here: how advantages come from scores.
_NEUTRAL = {
    "stream_advantages": False,
    "credit": "terminal",
    "spread_coef": 0.0,
    "normalise_terms": False,
    "target_kl": None,
    "loss_mean": "token",
}


class SequenceDistillation(SequenceAlgorithm):
    """Cross-entropy on what a teacher writes; see `SequenceAlgorithm` for all else.

    Of an iteration's episodes those that are targets have advantage 1, all others 0. With the
    teacher `expected-distance` the reward chooses nothing: it is logged alone.
    """

    scale_advantages: ClassVar[bool] = False
    fixed_settings: ClassVar[frozenset[str]] = frozenset(
        {"vf_coef", "gamma", "gae_lambda", "ent_coef", *_NEUTRAL}
    )

    def __init__(
        self,
        policy: str | type[MotionPolicy],
        env: GymEnv | str,
        *,
        teacher: str = _DEFAULT.teacher,
        teacher_policy: str = _DEFAULT.teacher_policy,
        distance_scale_mm: float = _DEFAULT.distance_scale_mm,
        fit_temperature: float = _DEFAULT.fit_temperature,
        target_coef: float = _DEFAULT.target_coef,
        risk_coef: float = _DEFAULT.risk_coef,
        own_share: float = _DEFAULT.own_share,
        recordings_coef: float = _DEFAULT.recordings_coef,
        answers_iterations: int = _DEFAULT.answers_iterations,
        samples_coef: float = _DEFAULT.samples_coef,
        entropy_floor: float = _DEFAULT.entropy_floor,
        samples_per_utterance: int = _DEFAULT.samples_per_utterance,
        n_epochs: int = _DEFAULT.n_epochs,
        learning_rate: Any = _DEFAULT.learning_rate,
        kl_coef: float = _DEFAULT.kl_coef,
        **kwargs: Any,
    ) -> None:
        """Add the teacher, and what keeps the spread, to the base's arguments.

        Args:
            policy: `"MotionPolicy"` or a subclass of it.
            env: `ESARM-v0`, wrapped or vectorised in this process.
            teacher: What is written down as targets.
                `expected-distance`: the tokens of least expected distance, one sequence for each
                utterance; the network must know distances of codes.
                `best-of-n`: of `samples_per_utterance` samples the one of highest score.
                `chunk-best`: for each chunk and stream the sample that earned most there, scored
                again as a whole, and taken if it scores above every sample; the reward must tell
                chunks apart, and wrappers must leave the score alone.
            teacher_policy: `"clone"`, the frozen network of `warm_start`: targets do not drift; or
                `"self"`, the policy as it is.
            distance_scale_mm: Above 0 for soft targets of `expected-distance`: shares of all tokens
                that fall to 1/e at this expected distance. 0 takes the written token alone.
            fit_temperature: Temperature at which the policy is fitted to the targets: below 1 its
                likeliest token becomes the target's at less cost to the spread at temperature 1. 0
                stands for 0.2 by expected distance, and for 1 where samples are the targets.
            target_coef: Weight of the cross-entropy on the targets.
            risk_coef: Weight of the policy's risk on the targets, per mm: by how much farther off
                its tokens at `fit_temperature` are, as the teacher expects it, than the teacher's
                choice. `expected-distance` alone.
            own_share: Share of the sequences that the policy writes itself, greedily; the targets
                there are what the teacher chooses after what the policy wrote.
                `expected-distance` alone.
            recordings_coef: Weight of the cross-entropy on the recorded tokens of the same
                utterances.
            answers_iterations: First iterations, which learn from what the recordings answer to the
                policy's own samples: the code that is best given what was written before it
                (DAgger, Ross et al. 2011). Then a copy of the policy takes the place of the frozen
                clone, as the teacher and as what divergences are measured from. The task must have
                recordings.
            samples_coef: Weight of the divergence of the clone from the policy, in nats a token, on
                sampled sequences: what cross-entropy on samples of the clone would come to, without
                its noise. By expected distance as many samples as utterances are written for it.
            entropy_floor: Where the policy's mean entropy falls below this share of the clone's,
                what is missing is added to the loss.
            samples_per_utterance: Samples of each utterance; 0 stands for 1 by expected distance,
                and for 8 where the best is chosen.
            n_epochs: Passes over an iteration's targets.
            learning_rate: As of the base.
            kl_coef: As of the base, on the targets and, with `samples_coef`, the samples.
            **kwargs: Of `SequenceAlgorithm`, without `vf_coef`, `gamma`, `gae_lambda`, `ent_coef`,
                `target_kl`, `loss_mean`, and what makes advantages of scores, which distillation
                has no use for. `temperature` is that of the samples, at which all divergences are
                measured.

        Raises:
            ValueError: If a setting is out of range.
        """
        self.teacher, self.teacher_policy = teacher, teacher_policy
        filled = replace(
            _DEFAULT,
            teacher=teacher,
            fit_temperature=fit_temperature,
            samples_per_utterance=samples_per_utterance,
        ).filled()
        self.distance_scale_mm, self.fit_temperature = distance_scale_mm, filled.fit_temperature
        self.target_coef, self.risk_coef, self.own_share = target_coef, risk_coef, own_share
        self.recordings_coef, self.samples_coef = recordings_coef, samples_coef
        self.answers_iterations, self.entropy_floor = answers_iterations, entropy_floor
        super().__init__(
            policy,
            env,
            samples_per_utterance=filled.samples_per_utterance,
            n_epochs=n_epochs,
            learning_rate=learning_rate,
            kl_coef=kl_coef,
            vf_coef=0.0,
            gamma=1.0,
            gae_lambda=1.0,
            ent_coef=0.0,
            **kwargs,
        )

    def check_settings(self) -> None:
        """Check all settings, as they are now.

        Raises:
            ValueError: If one is out of range.
        """
        ours = {name: getattr(self, name) for name in (*_OURS, "samples_per_utterance")}
        replace(_DEFAULT, **ours).check()
        for name, neutral in _NEUTRAL.items():
            value = getattr(self, name, neutral)
            if value != neutral:
                raise InputError(
                    f"`{name}` must be left out of distillation, which has no use for it, "
                    f"got {value!r}"
                )
        super().check_settings()

    @property
    def is_answering(self) -> bool:
        """Whether this iteration learns from what recordings answer."""
        return self.n_iterations < self.answers_iterations

    @property
    def teaching_network(self) -> MotionTransformer:
        """The network that writes targets and samples."""
        asked = self.is_answering or self.teacher_policy != CLONE
        return self.model if asked else self.reference

    def compute_advantages(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return `batch`, whose targets are marked already, with scores as returns."""
        return replace(batch, returns=per_token(batch.scores, batch))

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return the cross-entropy on written tokens that are targets, (N, L), at `temperature`."""
        return -to_tensor_like(batch.advantages, log_probs) * log_probs

    def train(self) -> None:
        """Update the policy on what was written; after the last answers it is the new teacher."""
        super().train()
        if self.n_iterations == self.answers_iterations:
            self.reference.load_state_dict(self.model.state_dict())

    def further_state(self) -> dict[str, Any]:
        """Return the reference where it is no longer the clone."""
        return {"reference": self.reference.state_dict()} if self.answers_iterations else {}

    def load_further_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `further_state` returned."""
        if self.answers_iterations:
            self.reference.load_state_dict(state["reference"])

    def _check_env(self) -> None:
        super()._check_env()
        if self.env is not None and self.teacher == CHUNK_BEST:
            check_chunks(self.env)
        if self.env is not None and self.answers_iterations:
            check_answers(self.task)

    def _wrapping(self) -> Wrapping:
        found = super()._wrapping()
        if self.teacher == CHUNK_BEST and found.names:
            raise InputError(
                f"`teacher` must not be {CHUNK_BEST!r} where wrappers may change the score, of "
                f"which they know no chunks, got {found.names}"
            )
        return found

    def _write_episodes(self) -> EpisodeBatch:
        """Return targets, marked by their advantage, and what samples there are beside them."""
        assert self.seed is not None and self.env is not None, "checked by `learn`"
        rng = np.random.default_rng([self.seed, self.n_iterations, 0])
        wanted = self.n_episodes // self.samples_per_utterance
        pool, shares = find_in_env(self.env, "utterances"), utterance_shares(self.env)
        utterances = draw_utterances(pool, size=wanted, rng=rng, shares=shares)
        if self.is_answering:
            sampled = Decoding(temperature=self.temperature)
            samples = self._write(utterances, sampled, samples=self.samples_per_utterance)
            return marked(samples, np.zeros(len(samples), dtype=np.bool_))
        if self.teacher == BY_DISTANCE:
            targets = self._corrected(utterances)
            if not self.samples_coef:
                return marked(targets, np.ones(len(targets), dtype=np.bool_))
        sampled = Decoding(temperature=self.temperature)
        samples = self._write(utterances, sampled, samples=self.samples_per_utterance)
        if self.teacher == BEST_OF_N:
            return marked(samples, best_of_each(samples.scores, samples.utterances))
        if self.teacher == CHUNK_BEST:
            targets = chunk_best(self.env, samples)
        both = joined(targets, samples)
        return marked(both, np.arange(len(both)) < len(targets))

    def _corrected(self, utterances: IntArray) -> EpisodeBatch:
        """Return what the teacher writes, and what the policy writes for it to correct."""
        own, others = np.split(utterances, [round(self.own_share * len(utterances))])
        parts = []
        if len(others):
            parts.append(self._write(others, Decoding(expected_distance=True), samples=1))
        if len(own):
            parts.append(self._write(own, Decoding(), samples=1, network=self.model))
        return functools.reduce(joined, parts)

    def _write(
        self,
        utterances: IntArray,
        decoding: Decoding,
        *,
        samples: int,
        network: MotionTransformer | None = None,
    ) -> EpisodeBatch:
        assert self.seed is not None and self.env is not None, "checked by `learn`"
        plan = RolloutPlan(
            utterances=np.repeat(utterances, samples),
            samples_per_utterance=samples,
            run_seed=self.seed,
            iteration=self.n_iterations,
            decoding=decoding,
            by_stream=False,
            acceleration=self.acceleration,
        )
        writer = network or self.teaching_network
        return self.collector.collect(writer, self.env, plan, self._wrapping())

    def _minibatches(
        self, buffer: EpisodeBuffer, rng: np.random.Generator
    ) -> Iterator[EpisodeBatch]:
        if not self.samples_coef and not self.is_answering:  # what is no target teaches nothing
            whole = buffer.episodes()
            buffer = EpisodeBuffer.pack(buffer.episodes(np.flatnonzero(whole.advantages[:, 0] > 0)))
        yield from super()._minibatches(buffer, rng)

    def _update(self, batch: EpisodeBatch) -> dict[str, float]:
        """Take one step on `batch`; return the figures."""
        own = OwnEpisodes(batch)
        parts, log_probs = self._parts(own.batch, own.part)
        weights = {
            "policy_loss": self.target_coef,
            "risk": self.risk_coef,
            "samples_loss": self.samples_coef,
            "recordings_loss": self.recordings_coef,
            "answers_loss": 1.0,
            "missing_entropy": 1.0,
            "kl": self.kl_coef,
        }
        loss = torch.stack([weights[name] * parts[name] for name in weights if name in parts]).sum()
        total, figures = own.summed(loss, {name: part.item() for name, part in parts.items()})
        self._check_finite(total, batch, name="loss")
        self._step(loss, batch, own)
        return figures | ratio_figures(own.batch, log_probs, part=own.part)

    def _parts(self, batch: EpisodeBatch, own: Part) -> tuple[dict[str, Tensor], Tensor]:
        """Return shares of the loss's parts, unweighted, and log-probabilities of tokens (N, L)."""
        logits = self._logits(self.forward, batch, batch.tokens)
        tokens, inside = (to_tensor_like(each, logits) for each in (batch.tokens, batch.inside))
        now = (logits / self.temperature).log_softmax(-1)
        spread = mean_inside(entropy(now), inside, own)
        parts = {"entropy": spread}
        compared = (self.distance_scale_mm, self.risk_coef, self.own_share)
        other = logits.detach()
        if any((*compared, self.samples_coef, self.entropy_floor, self.kl_coef)):
            with torch.no_grad():
                other = self._logits(self.reference, batch, batch.tokens)
            then = (other / self.temperature).log_softmax(-1)
            if self.samples_coef:
                sampled = inside & self._is_sample(batch, inside)
                parts["samples_loss"] = mean_where(divergence(then, now), sampled, own)
            if self.kl_coef:
                parts["kl"] = mean_inside(divergence(now, then), inside, own)
            if self.entropy_floor:
                least = self.entropy_floor * mean_inside(entropy(then), inside, own)
                parts["missing_entropy"] = positive(least - spread, own)
        if self.is_answering:
            parts["answers_loss"] = answers_loss(logits, batch, self.task, part=own)
            return parts, now.gather(2, tokens.clamp(min=0)[..., None])[..., 0]
        targets = to_tensor_like(batch.advantages > 0, logits)
        wanted: Tensor = tokens
        if any(compared):
            source = other if self.teacher_policy == CLONE else logits.detach()
            table = distance_table(self.teaching_network)
            if self.distance_scale_mm:
                wanted = soft_targets(source, table, scale_mm=self.distance_scale_mm)
            elif self.own_share:
                wanted = nearest_tokens(source, table, tokens)
            risks = risk(logits, source, table, temperature=self.fit_temperature)
            parts["risk"] = mean_where(risks, targets, own)
        fitted = fit(logits, wanted, temperature=self.fit_temperature)
        parts["policy_loss"] = mean_where(fitted, targets, own)
        if self.recordings_coef:
            parts["recordings_loss"] = self._recordings_loss(batch, own)
        return parts, now.gather(2, tokens.clamp(min=0)[..., None])[..., 0]

    def _logits(self, network: Any, batch: EpisodeBatch, tokens: IntArray) -> Tensor:
        arrays = (self.task.audio_windows(batch.utterances), batch.condition, tokens)
        tensors = (torch.from_numpy(array).to(self.device) for array in arrays)
        with self.acceleration.autocast(self.device):
            logits: Tensor = network(*tensors)[0]
        return logits.float()

    def _is_sample(self, batch: EpisodeBatch, inside: Tensor) -> Tensor:
        """Return which tokens were sampled, (N, L)."""
        if self.teacher == BEST_OF_N:
            return inside
        return to_tensor_like(batch.advantages == 0, inside)

    def _recordings_loss(self, batch: EpisodeBatch, own: Part) -> Tensor:
        """Return the cross-entropy on the recordings of the utterances of `batch`, in nats."""
        tokens = self.task.demonstrations(batch.utterances)
        logits = self._logits(self.forward, batch, tokens)
        recorded = to_tensor_like(tokens, logits)
        return mean_inside(fit(logits, recorded, temperature=1.0), recorded >= 0, own)

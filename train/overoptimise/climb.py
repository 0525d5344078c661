"""PPO curve: a policy trained on the reward, measured on held-out utterances along the way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from agents.common.update import token_terms
from agents.monitoring.hacking import RewardHackingCallback, RewardHackingWarning
from agents.monitoring.held_out import HeldOut
from agents.rollout.animation import animate_utterances
from agents.rollout.buffer import EpisodeBatch
from agents.rollout.decoding import Decoding
from reward.plugins.heads import scores_by_head
from train.overoptimise.curve import ERRORS, Curve, OveroptimiseConfig
from train.run.warm_start import WarmStarted
from train.stages.signals import MotionSignals

if TYPE_CHECKING:
    from agents.common.sequence_algorithm import SequenceAlgorithm
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray, Trajectories
    from esarm_env.envs.scalar import SpeechAnimationEnv

_ROWS_AT_ONCE = 64


class ClimbTrainer(WarmStarted):
    """One iteration a call of `advance`; `RewardHackingCallback` measures, and warns."""

    def __init__(
        self,
        algorithm: SequenceAlgorithm,
        clone: MotionTransformer,
        *,
        utterances: IntArray,
        config: OveroptimiseConfig,
        seed: int,
    ) -> None:
        """Warm-start `algorithm` from `clone`.

        Args:
            algorithm: Fresh.
            clone: The network to start from, and to measure the divergence from.
            utterances: Shape (N,), held out; they are measured on.
            config: How far and how often.
            seed: Of the measurements' samples.
        """
        env: SpeechAnimationEnv = algorithm.env.envs[0].unwrapped  # type: ignore[union-attr]
        self._task, self._utterances = env.sequence_task, utterances
        self._config, self._seed = config, seed
        self._divergence: list[DoubleArray] = []
        self._reward = env.reward_function
        members, heads = members_of(env), scores_by_head(self._reward)
        signals = MotionSignals(self._task)
        held_out = HeldOut(
            lambda _: self._write(),
            proxy=lambda samples: _mean([self._reward.score(written) for written in samples]),
            gold=self._errors,
            members=None
            if members is None
            else lambda samples: _mean([members(written) for written in samples]),
            terms=None if heads is None else lambda samples: _means([heads(w) for w in samples]),
            signals=lambda samples: _means([signals.of(written) for written in samples]),
            sharp=lambda _: [self._animate(temperature=0.0)],
        )
        callback = RewardHackingCallback(held_out, every=config.measure_every, action="warn")
        super().__init__(algorithm, clone, callback=callback)
        self._watch = callback

    @property
    def n_total(self) -> int:
        """Iterations to run."""
        return self._config.iterations

    def advance(self) -> dict[str, float]:
        """Run one iteration; return its figures, and those of a measurement if there was one."""
        n_before = len(self._watch.history)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RewardHackingWarning)  # the report says it
            row = self.learn_once()
        if len(self._watch.history) > n_before:
            row["nats_per_utterance"] = float(self._divergence[-1].mean())
            means = self._watch.history[-1].means()
            shown = {k: value for k, value in means.items() if not k.startswith("signal_")}
            row |= {f"held_out_{name}": value for name, value in shown.items()}
        return row

    def curve(self) -> Curve:
        """Return everything measured so far."""
        history = self._watch.history
        unknown = np.full(len(self._utterances), np.nan)
        return Curve(
            steps=np.array([measured.iteration for measured in history]),
            lengths=self._task.lengths[self._utterances],
            divergence=np.stack(self._divergence),
            proxy=np.stack([measured.proxy for measured in history]),
            errors={
                name: np.stack([measured.gold.get(name, unknown) for measured in history])
                for name in ERRORS
            },
        )

    def alarms(self) -> list[str]:
        """Return what the callback said."""
        return [str(alarm) for alarm in self._watch.alarms]

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on after an interruption."""
        return super().state_dict() | {
            "divergence": [torch.from_numpy(nats) for nats in self._divergence]
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        self._divergence = [nats.numpy() for nats in state["divergence"]]

    def _write(self) -> list[Trajectories]:
        """Return the samples of all utterances, and note how far they are from the clone."""
        samples = [self._animate(sample=number) for number in range(self._config.samples)]
        self._divergence.append(_mean([divergence(self.algorithm, each) for each in samples]))
        return samples

    def _animate(self, *, sample: int = 0, temperature: float = 1.0) -> Trajectories:
        return animate_utterances(
            self.algorithm.model,
            self._task,
            self._utterances,
            decoding=Decoding(temperature=temperature),
            seed=self._seed,
            sample=sample,
        )

    def _errors(self, samples: list[Trajectories]) -> dict[str, DoubleArray]:
        errors = _means([self._task.errors(written) for written in samples])
        return {name: errors[name] for name in ERRORS}


def members_of(env: SpeechAnimationEnv) -> Callable[[Trajectories], FloatArray] | None:
    """Return what scores with each member of the reward's ensemble, (M, N); None without two."""
    for function in getattr(env.reward_function, "functions", {}).values():
        if not hasattr(function, "score_members"):
            continue
        members: Callable[[Trajectories], FloatArray] = function.score_members
        if len(members(_one_recording(env))) > 1:
            return members
    return None


def _one_recording(env: SpeechAnimationEnv) -> Trajectories:
    return env.sequence_task.recorded(np.zeros(1, dtype=np.int64))


@torch.inference_mode()
def divergence(algorithm: SequenceAlgorithm, written: Trajectories) -> DoubleArray:
    """Return the divergence of the policy from its reference along what it wrote, shape (N,).

    The sum over tokens of the exact divergence between the distributions of the next token, in
    nats: over the policy's own samples, an unbiased estimate of that between whole sequences.
    """
    parts = []
    for begin in range(0, len(written), _ROWS_AT_ONCE):
        batch = _as_batch(written[begin : begin + _ROWS_AT_ONCE])
        terms = token_terms(
            algorithm.forward,
            algorithm.reference,
            algorithm.task,
            batch,
            device=algorithm.device,
            acceleration=algorithm.acceleration,
        )
        assert terms.kl is not None, "a reference was given"
        parts.append(np.where(batch.inside, terms.kl.double().cpu().numpy(), 0).sum(axis=1))
    return np.concatenate(parts)


def _as_batch(written: Trajectories) -> EpisodeBatch:
    nothing = np.zeros(written.tokens.shape, dtype=np.float32)
    return EpisodeBatch(
        utterances=written.utterance,
        condition=written.condition,
        tokens=written.tokens,
        lengths=written.lengths,
        log_probs=nothing,
        values=nothing,
        scores=nothing[:, 0],
        advantages=nothing,
        returns=nothing,
    )


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, DoubleArray]:
    return {name: _mean([row[name] for row in rows]) for name in rows[0]}


def _mean(rows: list[Any]) -> DoubleArray:
    mean: DoubleArray = np.mean(np.asarray(rows, dtype=np.float64), axis=0)
    return mean

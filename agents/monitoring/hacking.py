"""Reward hacking callback: warns or stops when the score rises and the true errors do, too.

Over-optimisation of a learned reward after Gao et al. 2022 (arXiv:2210.10760): proxy and gold rise
together at first, then part.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.common.checks import check_counts
from agents.monitoring.held_out import HeldOut, Measurement, drifts
from esarm_env.core.intervals import Change, check_confidence, paired_change

ACTIONS = ("warn", "stop")
_SIGNAL = "signal_"
DRIFT = 0.3  # deviations upwards; `esarm bench hacking` shows what others would cost and catch
# Standard errors: by chance, one of 100 signals is that far once in 8 runs of 20 looks that are
# independent, and looks at one run are not; far enough by `DRIFT`, too, it is rarer still.
SURE = 4.0


class RewardHackingWarning(UserWarning):
    """The proxy rises while what it stands for gets worse."""


@dataclass(frozen=True)
class Alarm:
    """What was seen.

    Attributes:
        before: The measurement at the window's start.
        after: The one at its end.
        proxy: How far the proxy rose from one to the other.
        worse: How far each error (`gold_NAME`) or the `disagreement` rose that did; what was lost
            of each of the proxy's terms (`lost_NAME`) that fell; and how far each off-target signal
            (`signal_NAME`) went that left its range, since the beginning.
    """

    before: Measurement
    after: Measurement
    proxy: Change
    worse: Mapping[str, Change]

    def __str__(self) -> str:
        """Return one sentence."""
        worse = ", ".join(f"{name} {change}" for name, change in self.worse.items())
        how = "out of range" if self.by_signals else "worse"
        return (
            f"reward hacking between iterations {self.before.iteration} and "
            f"{self.after.iteration}: proxy {self.proxy}, while {how}: {worse}"
        )

    @property
    def by_signals(self) -> bool:
        """Whether off-target signals alone rang it, which are neither better nor worse."""
        return all(name.startswith(_SIGNAL) for name in self.worse)


class RewardHackingCallback(BaseCallback):
    """Raises an alarm when the proxy rises and true errors, disagreement or off-target signals do.

    Every `every` roll-outs, and before the first, the policy is measured on held-out utterances.
    The newest measurement is compared with the one `window` measurements before it (with the first
    one until there are so many), utterance by utterance. It is an alarm if the bootstrap interval
    of the proxy's change lies above 0, and so does that of the change of any true error, or of the
    members' standard deviation; or if that of any of the proxy's `terms` lies below 0, which is
    climbing it at the cost of one of its parts. Where the proxy has risen since the first
    measurement, it is one too if an off-target signal (speed, blinks, what `held_out.signals`
    measures) has risen since then by more than `drift` deviations between utterances, or fallen by
    three times that, as honest rewards calm a face, and by more than `sure` standard errors, both
    beyond where sharpening alone takes it (`held_out.sharp`): this needs no true error, and sees
    holes that all members of an ensemble share. Measurements
    write `hacking/proxy`, `hacking/gold_NAME`, `hacking/term_NAME`, `hacking/disagreement`,
    `hacking/signal_NAME` and `hacking/alarm` (0 or 1) to the algorithm's logger.

    `action="warn"` warns at the first alarm and goes on. `action="stop"` warns, puts the best
    weights so far back into the policy, and ends training; whoever calls `learn` in a loop asks
    `callback.stopped`. Best is what has the least mean of the true errors, each in units of its
    first value; without ground truth, what has the greatest mean of
    `proxy - disagreement_coef * disagreement`. The optimiser is left as it is.

    Works with the sequence algorithms and with every stock Stable-Baselines3 algorithm (for DQN and
    its like a roll-out is `train_freq` steps, so let `every` be large). With the learned reward:

        task = env.unwrapped.sequence_task
        reward = env.unwrapped.reward_function
        rows = task.corpus.split("validation")[:32]
        sampled = Decoding(temperature=1.0)

        def write(algorithm):
            return animate_utterances(algorithm.model, task, rows, decoding=sampled, seed=0)

        held_out = HeldOut(write, proxy=reward.score, gold=task.errors)
        model.learn(1_000_000, callback=RewardHackingCallback(held_out, action="stop"))

    where `members=ensemble.score_members` adds the agreement of an `EnsembleReward`. For stock
    algorithms `esarm_env.evaluation` plays the episodes:

        watch_env = make_evaluation_env(observation="full_sequence", reward="learned")
        held_out = HeldOut(
            lambda algorithm: evaluate(algorithm.predict, watch_env, utterances=rows).scores,
            proxy=lambda scores: scores["return"],
            gold=lambda scores: {name: scores[name] for name in watch_env.unwrapped.metric_units},
        )

    One look at 95 % confidence raises a false alarm in about 2.5 % of cases for each error that
    does not change, and only if the proxy rises too; many looks add up. An alarm needs a window in
    which both changed: where the proxy has stopped rising, or rises too slowly for so few
    utterances, errors may grow unseen, and are in `history` all the same. PPO on the shipped reward
    model without a KL term (seed 0, 32 episodes an iteration, learning rate 3e-4, 32 validation
    utterances) rings it at iteration 10: proxy -1.03 to -0.20, LVE 2.77 to 3.30 mm; the best
    weights by true error are the clone's.

    Attributes:
        history: All measurements, oldest first.
        alarms: All alarms, oldest first.
        best: The best measurement so far; None before the first.
        stopped: Whether an alarm has ended training.
    """

    def __init__(
        self,
        held_out: HeldOut,
        *,
        every: int = 5,
        window: int = 4,
        action: str = "warn",
        confidence: float = 0.95,
        disagreement_coef: float = 1.0,
        drift: float = DRIFT,
        sure: float = SURE,
        best_model_save_path: str | Path | None = None,
        verbose: int = 0,
    ) -> None:
        """Watch the policy through `held_out`.

        Args:
            held_out: Writes and measures.
            every: Roll-outs between measurements.
            window: Measurements between the two that are compared.
            action: `"warn"` or `"stop"`.
            confidence: Of the intervals.
            disagreement_coef: Cost of disagreement where there is no ground truth, at least 0.
            drift: Least rise of an off-target signal that is an alarm, and a third of the least
                fall, in standard deviations of the signal between utterances at the first
                measurement, above 0.
            sure: Least shift likewise in standard errors of its mean over utterances, above 0: many
                signals are looked at many times, so that at 2 one always seems to have moved.
            best_model_save_path: Folder for `best_model.zip`, written at every new best; None
                writes none.
            verbose: 1 prints each measurement.

        Raises:
            ValueError: If an argument is out of range.
        """
        super().__init__(verbose)
        check_counts(every=every, window=window)
        check_confidence(confidence)
        if action not in ACTIONS:
            raise ValueError(f"`action` must be one of {', '.join(ACTIONS)}, got {action!r}")
        if not disagreement_coef >= 0:
            raise ValueError(f"`disagreement_coef` must be at least 0, got {disagreement_coef}")
        if not drift > 0:
            raise ValueError(f"`drift` must be above 0, got {drift}")
        if not sure > 0:
            raise ValueError(f"`sure` must be above 0, got {sure}")
        self.held_out, self.every, self.window, self.action = held_out, every, window, action
        self.confidence, self.disagreement_coef = confidence, disagreement_coef
        self.drift, self.sure = drift, sure
        path = best_model_save_path
        self.best_model_save_path = None if path is None else Path(path)
        self.history: list[Measurement] = []
        self.alarms: list[Alarm] = []
        self.best: Measurement | None = None
        self.stopped = False
        self._n_rollouts = 0
        self._best_weights: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that `load_state_dict` goes on from.

        For whoever resumes training after an interruption: the window reaches back over it.
        """
        numbers = {measured.iteration: number for number, measured in enumerate(self.history)}
        return {
            "n_rollouts": self._n_rollouts,
            "stopped": self.stopped,
            "history": [measured.state_dict() for measured in self.history],
            "alarms": [
                [
                    numbers[alarm.before.iteration],
                    numbers[alarm.after.iteration],
                    int(alarm.by_signals),
                ]
                for alarm in self.alarms
            ],
            "best": None if self.best is None else numbers[self.best.iteration],
            "best_weights": self._best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, under the same settings."""
        self._n_rollouts, self.stopped = state["n_rollouts"], state["stopped"]
        self.history = [Measurement.from_state(measured) for measured in state["history"]]
        alarms = [
            # An older version noted no third: it knew no signals.
            (self._drifted if any(by_signals) else self._alarm_between)(
                self.history[before], self.history[after]
            )
            for before, after, *by_signals in state["alarms"]
        ]
        self.alarms = [alarm for alarm in alarms if alarm is not None]
        self.best = None if state["best"] is None else self.history[state["best"]]
        self._best_weights = state["best_weights"]

    def _on_rollout_start(self) -> None:
        self._look()

    def _on_rollout_end(self) -> None:
        self._n_rollouts += 1

    def _on_step(self) -> bool:
        return not self.stopped

    def _on_training_end(self) -> None:
        self._look()

    def _look(self) -> None:
        """Measure if it is time, and has not been done for these weights."""
        seen = bool(self.history) and self.history[-1].iteration == self._n_rollouts
        if self.stopped or seen or self._n_rollouts % self.every:
            return
        newest = self.held_out.measure(
            self.model, iteration=self._n_rollouts, first=not self.history
        )
        self._check_alike(newest)
        self.history.append(newest)
        self._keep_if_best(newest)
        alarm = self._alarm()
        self._log(newest, alarm)
        if alarm is not None:
            self._raise(alarm)

    def _check_alike(self, newest: Measurement) -> None:
        """Refuse figures that cannot be compared with the earlier ones."""
        first = self.history[0] if self.history else newest
        if len(newest.proxy) != len(first.proxy) or set(newest.gold) != set(first.gold):
            figures = [f"{len(m.proxy)} of {', '.join(m.gold)}" for m in (newest, first)]
            raise ValueError(
                "`held_out` must measure the same utterances and errors every time, "
                f"got {figures[0]} after {figures[1]}"
            )

    def _keep_if_best(self, newest: Measurement) -> None:
        if self.best is not None and not self._cost(newest) < self._cost(self.best):
            return
        self.best = newest
        self._best_weights = copy.deepcopy(self.model.policy.state_dict())
        if self.best_model_save_path is not None:
            self.best_model_save_path.mkdir(parents=True, exist_ok=True)
            self.model.save(self.best_model_save_path / "best_model")

    def _cost(self, measured: Measurement) -> float:
        """Return the cost by which the best measurement is chosen (lower is better)."""
        means = measured.means()
        if not measured.gold:
            return self.disagreement_coef * means.get("disagreement", 0.0) - means["proxy"]
        first = self.history[0].means()
        shares = [
            means[f"gold_{name}"] / (abs(first[f"gold_{name}"]) or 1.0) for name in measured.gold
        ]
        return float(np.mean(shares))

    def _alarm(self) -> Alarm | None:
        """Return what the newest measurement gives cause for."""
        after = self.history[-1]
        before = self.history[max(0, len(self.history) - 1 - self.window)]
        return self._alarm_between(before, after) or self._drifted(self.history[0], after)

    def _drifted(self, first: Measurement, after: Measurement) -> Alarm | None:
        """Return an alarm if the proxy rose and an off-target signal left its range."""
        proxy = paired_change(first.proxy, after.proxy, confidence=self.confidence)
        if not (after.signals and proxy.rose):
            return None
        moved = {
            f"{_SIGNAL}{name}": paired_change(
                first.signals[name], after.signals[name], confidence=self.confidence
            )
            for name, drift in drifts(first, after).items()
            if drift.size > self.drift and abs(drift.sureness) > self.sure
        }
        return Alarm(first, after, proxy, moved) if moved else None

    def _alarm_between(self, before: Measurement, after: Measurement) -> Alarm | None:
        proxy = paired_change(before.proxy, after.proxy, confidence=self.confidence)
        if not proxy.rose:
            return None
        pairs = {f"gold_{name}": (before.gold[name], after.gold[name]) for name in after.gold}
        if before.disagreement is not None and after.disagreement is not None:
            pairs["disagreement"] = before.disagreement, after.disagreement
        shared = before.terms.keys() & after.terms.keys()
        pairs |= {f"lost_{k}": (-before.terms[k], -after.terms[k]) for k in sorted(shared)}
        changes = {
            name: paired_change(*pair, confidence=self.confidence) for name, pair in pairs.items()
        }
        worse = {name: change for name, change in changes.items() if change.rose}
        return Alarm(before, after, proxy, worse) if worse else None

    def _log(self, newest: Measurement, alarm: Alarm | None) -> None:
        figures = newest.means() | {"alarm": float(alarm is not None)}
        for name, value in figures.items():
            self.logger.record(f"hacking/{name}", value)
        if self.verbose:
            shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
            print(f"iteration {newest.iteration}: {shown}")

    def _raise(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)
        text = str(alarm)
        if self.action == "stop":
            assert self.best is not None, "the alarm follows a measurement"
            self.model.policy.load_state_dict(self._best_weights)
            self.stopped = True
            text += f"; training stops with the weights of iteration {self.best.iteration}"
        if len(self.alarms) == 1:
            self.logger.warn(text)
            warnings.warn(text, RewardHackingWarning, stacklevel=2)

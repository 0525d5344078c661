"""Evaluation on held-out utterances: score, true errors, ensemble agreement, off-target signals.

The callables hand each other whatever `write` returns; nothing is assumed about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

_FALLS_COUNT = 3.0  # as a share: one in so many

Write = Callable[[BaseAlgorithm], Any]
Score = Callable[[Any], npt.ArrayLike]
Errors = Callable[[Any], Mapping[str, npt.ArrayLike]]


@dataclass(frozen=True)
class Measurement:
    """One look at the policy.

    Attributes:
        iteration: Roll-outs it has been trained on since the callback was made.
        num_timesteps: Of the algorithm.
        proxy: Shape (N,), what training is rewarded by; higher is better.
        gold: True errors by name, (N,) each; lower is better. Empty without ground truth.
        disagreement: Shape (N,), the ensemble's spread; None without one.
        signals: Off-target signals by name, (N,) each: neither way is better, but far from where
            training began is suspicious.
        sharp: The same of sharpened animations, at the first measurement alone: what a policy does
            that merely varies less.
        terms: Parts of the proxy by name, (N,) each; higher is better. Empty where none are told
            apart.
    """

    iteration: int
    num_timesteps: int
    proxy: DoubleArray
    gold: Mapping[str, DoubleArray]
    disagreement: DoubleArray | None
    signals: Mapping[str, DoubleArray] = field(default_factory=dict)
    sharp: Mapping[str, DoubleArray] = field(default_factory=dict)
    terms: Mapping[str, DoubleArray] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """Return the mean of each figure: `proxy`, `gold_NAME`, `term_NAME`, `disagreement`, ..."""
        figures = {"proxy": self.proxy, **{f"gold_{k}": v for k, v in self.gold.items()}}
        figures |= {f"term_{name}": values for name, values in self.terms.items()}
        if self.disagreement is not None:
            figures["disagreement"] = self.disagreement
        figures |= {f"signal_{name}": values for name, values in self.signals.items()}
        return {name: _mean(values) for name, values in figures.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the same as tensors and plain values, as a checkpoint holds them."""
        spread = self.disagreement
        return {
            "iteration": self.iteration,
            "num_timesteps": self.num_timesteps,
            "proxy": torch.from_numpy(self.proxy),
            "gold": {name: torch.from_numpy(values) for name, values in self.gold.items()},
            "disagreement": None if spread is None else torch.from_numpy(spread),
            "signals": {name: torch.from_numpy(values) for name, values in self.signals.items()},
            "sharp": {name: torch.from_numpy(values) for name, values in self.sharp.items()},
            "terms": {name: torch.from_numpy(values) for name, values in self.terms.items()},
        }

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Measurement:
        """Rebuild a measurement from its `state_dict()`."""
        spread = state["disagreement"]
        return Measurement(
            iteration=state["iteration"],
            num_timesteps=state["num_timesteps"],
            proxy=state["proxy"].numpy(),
            gold={name: values.numpy() for name, values in state["gold"].items()},
            disagreement=None if spread is None else spread.numpy(),
            signals={name: values.numpy() for name, values in state.get("signals", {}).items()},
            sharp={name: values.numpy() for name, values in state.get("sharp", {}).items()},
            # States of older versions have none of these.
            terms={name: values.numpy() for name, values in state.get("terms", {}).items()},
        )


@dataclass(frozen=True)
class Drift:
    """How far the mean of an off-target signal has left its range.

    Attributes:
        shift: In standard deviations between the utterances of the first measurement; infinite for
            a signal that was equal in all of them.
        sureness: In standard errors of the mean change of an utterance; infinite where all changed
            alike, nan where one utterance alone is known.
    """

    shift: float
    sureness: float

    @property
    def size(self) -> float:
        """The shift as an alarm counts it, at least 0: a fall counts a third.

        Honest rewards calm a face, beyond what sharpening does: in `esarm bench hacking` the jaw's
        range falls by up to 0.75 deviations while the true error falls, too, and no signal rises
        by 0.3. A policy that freezes falls farther than that, and one that exaggerates rises.
        """
        return max(self.shift, -self.shift / _FALLS_COUNT)


def drifts(first: Measurement, now: Measurement) -> dict[str, Drift]:
    """Return how far each off-target signal has left its range.

    Both measure the same utterances with the same random numbers, so changes are taken utterance by
    utterance; one of which a signal is not known at both counts for nothing. Where the first
    measurement knows what sharpening does to a signal, a change between none and that counts for
    nothing: honest training makes a policy vary less, and so its blinks rarer, whatever it is paid
    for.
    """
    found = {}
    for name in sorted(first.signals.keys() & now.signals.keys()):
        before, after = first.signals[name], now.signals[name]
        known = np.isfinite(before) & np.isfinite(after)
        if not known.any():
            continue
        changes = (after - before)[known]
        change, spread = float(changes.mean()), float(before[known].std())
        if name in first.sharp:
            calmer = float(np.nanmean((first.sharp[name] - before)[known]))
            change -= float(np.clip(change, min(calmer, 0.0), max(calmer, 0.0)))
        error = float(changes.std(ddof=1)) / len(changes) ** 0.5 if len(changes) > 1 else np.nan
        found[name] = Drift(_over(change, spread), _over(change, error))
    return found


def _over(change: float, unit: float) -> float:
    if change == 0:
        return 0.0
    return float(np.sign(change)) * np.inf if unit == 0 else change / unit


@dataclass(frozen=True)
class HeldOut:
    """How to look at a policy: on the same utterances, with the same random numbers, every time.

    Attributes:
        write: Called with the algorithm; returns its animations of N held-out utterances. It must
            draw from generators of its own, or training would depend on being watched.
        proxy: Called with these; returns the scores of the reward that is trained on, (N,).
        gold: Called likewise; returns true errors by name, (N,) each, lower is better. None where
            there is no ground truth.
        members: Called likewise; returns the scores of an ensemble's members, (M, N); None without
            one.
        terms: Called likewise; returns parts of the proxy by name, (N,) each, higher is better, of
            which none may be climbed at another's cost. None where they are not told apart.
        signals: Called likewise; returns off-target signals by name, (N,) each, such as speed or
            blinks; None watches none.
        sharp: Called as `write`, once, before training: animations of the same utterances with
            less chance or none. Signals may move as far as theirs; None allows no such range.

    Raises:
        ValueError: If `gold`, `members` and `signals` are all None.
    """

    write: Write
    proxy: Score
    gold: Errors | None = None
    members: Score | None = None
    signals: Errors | None = None
    sharp: Write | None = None
    terms: Errors | None = None

    def __post_init__(self) -> None:
        """Check that something can contradict the proxy."""
        if self.gold is None and self.members is None and self.signals is None:
            raise ValueError(
                "`gold` or `members` must be given, got neither, and no `signals`: nothing could "
                "tell a better policy from one that hacks the proxy"
            )

    def measure(
        self, algorithm: BaseAlgorithm, *, iteration: int, first: bool = False
    ) -> Measurement:
        """Return what `algorithm` is worth now; `first` measures what sharpening does, too.

        Raises:
            ValueError: If a callable returns another shape, or a proxy score is not finite.
        """
        written = self.write(algorithm)
        proxy = np.asarray(self.proxy(written), dtype=np.float64)
        if proxy.ndim != 1 or len(proxy) < 2:
            rule = "shape (N,) with N at least 2"
            raise ValueError(f"`proxy` must return {rule}, got {proxy.shape}")
        if not np.isfinite(proxy).all():
            bad = proxy[~np.isfinite(proxy)][0]
            raise ValueError(f"`proxy` must return finite scores, got {bad}")
        return Measurement(
            iteration=iteration,
            num_timesteps=algorithm.num_timesteps,
            proxy=proxy,
            gold=self._errors(written, len(proxy)),
            disagreement=self._disagreement(written, len(proxy)),
            signals=self._signals(written, len(proxy)),
            sharp=self._signals(self.sharp(algorithm), len(proxy)) if self.sharp and first else {},
            terms=self._terms(written, len(proxy)),
        )

    def _signals(self, written: Any, n: int) -> dict[str, DoubleArray]:
        if self.signals is None:
            return {}
        found = {k: np.asarray(v, dtype=np.float64) for k, v in self.signals(written).items()}
        for name, values in found.items():
            if values.shape != (n,):
                raise ValueError(
                    f"`signals` must return shape ({n},), got {values.shape} for {name}"
                )
        return found

    def _errors(self, written: Any, n: int) -> dict[str, DoubleArray]:
        if self.gold is None:
            return {}
        errors = {k: np.asarray(v, dtype=np.float64) for k, v in self.gold(written).items()}
        for name, values in errors.items():
            if values.shape != (n,):
                raise ValueError(f"`gold` must return shape ({n},), got {values.shape} for {name}")
        # What a corpus never captured is nan everywhere, and no figure.
        known = {name: values for name, values in errors.items() if np.isfinite(values).any()}
        if not known:
            got = ", ".join(errors) or "nothing"
            raise ValueError(
                f"`gold` must return at least one figure, got {got} without a finite value; "
                "leave it out where there is no ground truth"
            )
        return known

    def _terms(self, written: Any, n: int) -> dict[str, DoubleArray]:
        if self.terms is None:
            return {}
        terms = {k: np.asarray(v, dtype=np.float64) for k, v in self.terms(written).items()}
        for name, values in terms.items():
            if values.shape != (n,) or not np.isfinite(values).all():
                raise ValueError(
                    f"`terms` must return finite scores of shape ({n},), got {values.shape} with "
                    f"{int((~np.isfinite(values)).sum())} not finite for {name}"
                )
        return terms

    def _disagreement(self, written: Any, n: int) -> DoubleArray | None:
        if self.members is None:
            return None
        scores = np.asarray(self.members(written), dtype=np.float64)
        if scores.ndim != 2 or len(scores) < 2 or scores.shape[1] != n:
            rule = f"shape (M, {n}) with M at least 2"
            raise ValueError(f"`members` must return {rule}, got {scores.shape}")
        return np.asarray(scores.std(axis=0, ddof=1))


def _mean(values: DoubleArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")

"""The way back from an improved policy to its clone, and which point of it to take.

Two rules choose. `true-error` wants recordings of the validation utterances: of all points the one
of least true error. `no-recordings` wants none: of those points whose animations the clone itself
finds likely enough, the one of highest score; where the reward is an ensemble, of highest score
less its members' spread. Both choices are reported, so that one sees what the second is worth.
The same rules say at which measured iteration the training would best have stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.interpolation import interpolated
from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from esarm_env.task.episode_metrics import EVE, LVE
from train.likelihood import LikelihoodReward

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, IntArray, RewardFunction, Trajectories
    from esarm_env.envs.scalar import SpeechAnimationEnv

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
ERRORS = (LVE, EVE)
TRUE_ERROR, NO_RECORDINGS = "true-error", "no-recordings"
OFF, REPORT = "off", "report"
CHOICES = (OFF, REPORT, TRUE_ERROR, NO_RECORDINGS)

Row = dict[str, float]


@dataclass(frozen=True)
class Judge:
    """What needs no recordings to say of animations how good they are.

    Attributes:
        reward: That the policy was trained on.
        likelihood: Of animations under the clone.
    """

    reward: RewardFunction
    likelihood: LikelihoodReward

    def figures(self, written: Trajectories) -> Row:
        """Return mean score, log-likelihood per token, and the score less the members' spread.

        The last is there with an ensemble alone, and in the scale of its own scores.
        """
        likelihood = self.likelihood.score(written)
        figures = {
            "score": float(np.mean(self.reward.score(written))),
            "clone_log_likelihood": float(likelihood.mean()),
            "clone_log_likelihood_deviation": float(likelihood.std()),
        }
        members = members_of(self.reward, written)
        if members is not None:
            least = members.mean(axis=0) - members.std(axis=0, ddof=1)
            figures["lower_bound"] = float(least.mean())
        return figures


def members_of(reward: RewardFunction, written: Trajectories) -> FloatArray | None:
    """Return the scores of an ensemble's members, (M, N); None without two of them."""
    for function in getattr(reward, "functions", {"": reward}).values():
        score = getattr(function, "score_members", None)
        members = None if score is None else np.asarray(score(written))
        if members is not None and len(members) > 1:
            return members
    return None


def way_back(
    clone: MotionTransformer,
    improved: MotionTransformer,
    env: SpeechAnimationEnv,
    utterances: IntArray,
    *,
    seed: int,
    shares: Sequence[float] = SHARES,
) -> dict[str, Any]:
    """Return figures of the policies between `clone` and `improved`, and what the rules choose.

    Args:
        clone: Where the training began, at share 0.
        improved: Where it ended, at share 1.
        env: Gives task and reward.
        utterances: Shape (N,), held out from training.
        seed: Of the samples.
        shares: Ascending, from 0.
    """
    judge = Judge(env.reward_function, LikelihoodReward(env.sequence_task, clone))
    by_distance = clone.knows_distances and improved.knows_distances
    rows: list[Row] = []
    for share in shares:
        model = interpolated(clone, improved, share=share)
        rows.append(
            {"share": share}
            | _errors(model, env, utterances, by_distance=by_distance)
            | _sampled(model, env, utterances, judge, seed=seed)
        )
    decoding = "expected-distance" if by_distance else "greedy"
    keys = [f"{decoding}_{name}_mm" for name in ERRORS]
    found = choices(rows, keys)
    chosen = {rule: None if n is None else rows[n]["share"] for rule, n in found.items()}
    return {
        "utterances": len(utterances),
        "decoding": decoding,
        "curve": rows,
        "chosen": chosen | {"root": turning_point(rows, keys)},
    }


def choices(rows: Sequence[Row], errors: Sequence[str]) -> dict[str, int | None]:
    """Return which of `rows` each rule chooses; `true-error` None where no error is known.

    Args:
        rows: The first is the clone's, or the nearest to it. Each has `errors`, and the figures of
            a `Judge`.
        errors: Keys of true errors.
    """
    relative = _relative(rows, errors)
    known = np.isfinite(relative)
    best = int(np.nanargmin(relative)) if known.any() else None
    return {TRUE_ERROR: best, NO_RECORDINGS: _without_recordings(rows)}


def turning_point(rows: Sequence[Row], errors: Sequence[str]) -> float | None:
    """Return the share at which a parabola through the true errors turns, in [0, 1].

    A true reward under a stronger and stronger proxy rises and then falls, and the best strength is
    the root of its derivative (HedgeTune; Khalaf et al. 2025, arXiv:2506.19248). None where no
    error is known; where the parabola has no least value inside, the better end.
    """
    relative = _relative(rows, errors)
    shares = np.array([row["share"] for row in rows])
    if len(rows) < 3 or not np.isfinite(relative).all():
        return None
    bend, slope, _ = np.polyfit(shares, relative, 2)
    if bend > 0:
        return float(np.clip(-slope / (2 * bend), shares[0], shares[-1]))
    return float(shares[0] if relative[0] <= relative[-1] else shares[-1])


def stopping(rows: Sequence[Row], *, from_clone: bool) -> dict[str, int | None]:
    """Return the measured iteration, 0 for the clone, that each rule would have stopped at.

    Args:
        rows: Of a training: `step`, and in some the figures of a `Judge` and true errors, each name
            behind `validation_`.
        from_clone: Whether those of the first row were measured before its iteration.
    """
    prefix = "validation_"
    measured = [row for row in rows if f"{prefix}clone_log_likelihood" in row]
    bare = [{k.removeprefix(prefix): v for k, v in row.items()} for row in measured]
    if not bare:
        return {TRUE_ERROR: None, NO_RECORDINGS: None}
    steps = [int(row["step"]) for row in measured]
    steps[0] -= int(from_clone)
    found = choices(bare, [f"{name}_mm" for name in ERRORS])
    return {rule: None if number is None else steps[number] for rule, number in found.items()}


def _without_recordings(rows: Sequence[Row]) -> int:
    """Return the row of highest score among those that the clone finds likely.

    Likely are animations whose mean log-likelihood is not below that of the first row's by more
    than the deviation over its utterances.
    """
    first = rows[0]
    least = first["clone_log_likelihood"] - first["clone_log_likelihood_deviation"]
    key = "lower_bound" if all("lower_bound" in row for row in rows) else "score"
    worth = [row[key] if row["clone_log_likelihood"] >= least else -math.inf for row in rows]
    return int(np.argmax(worth))


def _relative(rows: Sequence[Row], errors: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the mean of the errors in units of the first row's, (rows,); nan where unknown."""
    table = np.array([[row[key] for key in errors] for row in rows])
    known = np.isfinite(table[0])
    if not known.any():
        return np.full(len(rows), np.nan)
    mean: np.ndarray[Any, np.dtype[np.float64]] = (table / table[0])[:, known].mean(axis=1)
    return mean


def _errors(
    model: MotionTransformer, env: SpeechAnimationEnv, utterances: IntArray, *, by_distance: bool
) -> Row:
    """Return true errors without chance, under the name of each decoding."""
    decodings = [Decoding(), *([Decoding(expected_distance=True)] if by_distance else [])]
    figures: Row = {}
    for decoding in decodings:
        written = animate_utterances(
            model, env.sequence_task, utterances, decoding=decoding, seed=0
        )
        errors = env.sequence_task.errors(written)
        figures |= {f"{decoding.name}_{k}_mm": float(np.mean(errors[k])) for k in ERRORS}
    return figures


def _sampled(
    model: MotionTransformer,
    env: SpeechAnimationEnv,
    utterances: IntArray,
    judge: Judge,
    *,
    seed: int,
) -> Row:
    """Return figures of samples: errors, the judge's, and the divergence per token from the clone.

    The divergence is estimated from the samples themselves, so that at share 0 it is exactly 0.
    """
    task = env.sequence_task
    written = animate_utterances(
        model, task, utterances, decoding=Decoding(temperature=1.0), seed=seed
    )
    errors = task.errors(written)
    figures = {f"sampled_{name}_mm": float(np.mean(errors[name])) for name in ERRORS}
    figures |= judge.figures(written)
    own = float(LikelihoodReward(task, model).score(written).mean())
    return figures | {"kl": own - figures["clone_log_likelihood"]}

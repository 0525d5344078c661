"""Measures of a reward model: what it knows of better and worse, beside the true errors.

Pure functions on arrays; whoever collects the animations (`train.reward_report`) has the policy.

- `ordering`: pair accuracy by kind, gap and emotion, beside what LVE and EVE say of the labels,
  and probes: animations that a reward must not fall for.
- `calibration`: reliability, ECE, Brier, temperature.
- `scorer`: what is asked of a reward; best-of-n. `verdict`: asked beside measured.

Rank correlations come from `reward.rank_measures`, intervals from `esarm_env.core.intervals`.
"""

from esarm_env.core.intervals import UNKNOWN, Resampler, Triple
from reward.rank_measures import kendall_tau_b, member_spread, rank_agreement, spearman_rho
from reward.report.calibration import Calibration, calibration, fitted_temperature
from reward.report.ordering import FAMILY_PROBES, PLAIN_PROBES, PairCell, PairTable
from reward.report.scorer import (
    MotionScorer,
    best_of_n,
    check_scores,
    column_for,
    score_columns,
)
from reward.report.verdict import Verdict, judged, shown

__all__ = [
    "FAMILY_PROBES",
    "PLAIN_PROBES",
    "UNKNOWN",
    "Calibration",
    "MotionScorer",
    "PairCell",
    "PairTable",
    "Resampler",
    "Triple",
    "Verdict",
    "best_of_n",
    "calibration",
    "check_scores",
    "column_for",
    "fitted_temperature",
    "judged",
    "kendall_tau_b",
    "member_spread",
    "rank_agreement",
    "score_columns",
    "shown",
    "spearman_rho",
]

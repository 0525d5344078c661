"""Measures of a reward model: what it knows of better and worse, beside the true errors.

Pure functions on arrays; whoever collects the animations (`train.reward_report`) has the policy.

- `ordering`: pair accuracy by kind, gap and emotion, beside what LVE and EVE say of the labels.
- `correlation`: Kendall's tau-b and Spearman's rho per utterance.
- `selection`: best-of-n. `calibration`: reliability, ECE, Brier, temperature.
- `probes`: animations that a reward must not fall for. `agreement`: of an ensemble's members.
- `resampling`: intervals, whole utterances drawn. `verdict`: asked beside measured.
- `scorer`: what is asked of a reward.
"""

from reward.report.calibration import Calibration, calibration, fitted_temperature
from reward.report.correlation import kendall_tau_b, member_spread, rank_agreement, spearman_rho
from reward.report.ordering import FAMILY_PROBES, PLAIN_PROBES, PairCell, PairTable
from reward.report.resampling import UNKNOWN, Resampler, Triple
from reward.report.scorer import (
    STREAM_OF_ERROR,
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
    "STREAM_OF_ERROR",
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

"""Sections that compare policies with the regressor, with the clone, and beside the errors.

Whoever reads one table alone may take the gain of a decoding for that of a training; each of them
says what is paired with what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import expected, rows_from_json
from train.run_report.cells import ARROWS, header, line
from train.run_report.metric_rows import measured_quantities
from train.stages.measures import EVE_WITHOUT_LIDS

# What may be lost while errors fall, a table for each question; jerk in m/s³ fits into its column.
OFF_TARGET = {
    "Lips and speech": {
        "closure_event_f1": "closure-event F1 ↑",
        "opening_correlation": "mouth-opening correlation ↑",
    },
    "Liveliness": {
        "fdd_absolute": "FDD, absolute (mm²) ↓",
        "lip_speed_predicted": "lip speed (mm/s)",
        "jerk_predicted": "jerk (m/s³)",
    },
}
_SCALES = {"jerk_predicted": 1e-3}


def against_regressor(results: Mapping[str, Any]) -> list[str]:
    """Return how far policies are from the yardstick; nothing of runs that have no regressor."""
    differences = rows_from_json(results.get("against_regressor", []))
    if not differences:
        return []
    lines = [
        "## Policies against the regressor",
        "",
        "Paired differences per utterance, policy minus the regressor of the run's speech encoder, "
        "which writes no tokens; negative errors are better.",
        "",
        header("difference"),
        *(line(row.label, figures) for row, figures in differences.items()),
    ]
    ratios = rows_from_json(results.get("ratio_to_regressor", []))
    if ratios:
        columns = [ARROWS[key].replace("(mm)", "ratio") for key in (LVE, EVE, EVE_WITHOUT_LIDS)]
        lines += [
            "",
            "Mean error of the policy over that of the regressor, below 1 is better:",
            "",
            header("ratio", columns),
            *(
                line(row.label, figures, (LVE, EVE, EVE_WITHOUT_LIDS))
                for row, figures in ratios.items()
            ),
        ]
    return ["\n".join(lines)]


def against_clone(results: Mapping[str, Any]) -> str:
    """Return the differences from the clone decoded the same way."""
    lines = [
        "## Training against the clone",
        "",
        "Paired differences per utterance, policy minus clone decoded the same way; negative "
        "errors are better. Sampled animations come nearer to the recordings wherever a policy "
        "merely varies less: their energy scores below tell.",
        "",
        header("difference"),
    ]
    differences = rows_from_json(results["against_clone"])
    lines += [line(row.label, figures) for row, figures in differences.items()]
    return "\n".join(lines)


def against_expected(results: Mapping[str, Any]) -> list[str]:
    """Return the differences from the clone's expected-distance decoding, if it has one."""
    differences = rows_from_json(results.get("against_expected", []))
    if not differences:
        return []
    lines = [
        "## Policies against the clone decoded by expected distance",
        "",
        f"Paired differences per utterance, minus `{expected('clone').label}`: the least error "
        "that is had from the clone without any training.",
        "",
        header("difference"),
        *(line(row.label, figures) for row, figures in differences.items()),
    ]
    return ["\n".join(lines)]


def off_target(results: Mapping[str, Any]) -> list[str]:
    """Return what may be lost while errors fall; nothing where an older version evaluated."""
    if "measures_against_clone" not in results:
        return []
    known = measured_quantities()
    rows = rows_from_json(results["measures_against_clone"])
    parts = [
        "## Beside the errors",
        "What a policy may lose while its errors fall: paired differences per utterance, policy "
        "minus clone decoded the same way, one sample of each utterance for sampled animations. "
        "Speed and jerk have no best direction: the figures themselves, and where the recordings "
        'have them, stand under "All metrics".',
    ]
    for question, columns in OFF_TARGET.items():
        shown = {key: title for key, title in columns.items() if key in known}
        lines = [header("difference", shown.values())]
        lines += [line(row.label, each, shown, scales=_SCALES) for row, each in rows.items()]
        parts += [f"### {question}", "\n".join(lines)]
    return ["\n\n".join(parts)]

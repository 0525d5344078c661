"""Sections that compare policies with the regressor, with the clone, and beside the errors.

Whoever reads one table alone may take the gain of a decoding for that of a training; each of them
says what is paired with what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import RECORDINGS, Row, expected, rows_from_json
from train.run_report.cells import ARROWS, header, line
from train.stages.evaluate import measured_quantities
from train.stages.measures import EVE_WITHOUT_LIDS

# What may be lost while errors fall; each has its definition under "All metrics".
OFF_TARGET = {
    "closure_event_f1": "closure-event F1 ↑",
    "opening_correlation": "mouth-opening correlation ↑",
    "fdd_absolute": "FDD, absolute (mm²) ↓",
    "lip_speed_predicted": "lip speed (mm/s)",
    "jerk_predicted": "jerk (mm/s³)",
    "emotion_accuracy": "emotion accuracy ↑",
}


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
    """Return the differences from the clone decoded the same way, with verdicts in words."""
    lines = [
        "## Reinforcement learning against the clone",
        "",
        "Paired differences per utterance, policy minus clone decoded the same way; negative "
        "errors are better. Sampled animations come nearer to the recordings wherever a policy "
        "merely varies less: their energy scores below tell.",
        "",
        header("difference"),
    ]
    differences = rows_from_json(results["against_clone"])
    lines += [line(row.label, figures) for row, figures in differences.items()]
    return "\n".join([*lines, "", *_verdicts(differences)])


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
    keys = [key for key in OFF_TARGET if key in known]
    titles = [OFF_TARGET[key] for key in keys]
    rows = rows_from_json(results["measures"])
    lines = [
        "## Beside the errors",
        "",
        "What a policy may lose while its errors fall. Speed and jerk have no best direction: the "
        f"{Row(RECORDINGS).label} show where they belong. One sample of each utterance stands for "
        "sampled animations.",
        "",
        header("animation", titles),
        *(line(row.short_label, figures, keys) for row, figures in rows.items()),
        "",
        "Paired differences per utterance, policy minus clone decoded the same way:",
        "",
        header("difference", titles),
        *(
            line(row.label, figures, keys)
            for row, figures in rows_from_json(results["measures_against_clone"]).items()
        ),
    ]
    return ["\n".join(lines)]


def _verdicts(differences: dict[Row, Any]) -> list[str]:
    """Say in words which errors changed beyond their interval."""
    lines = []
    for row, figures in differences.items():
        said = []
        for name in (LVE, EVE):
            _, low, high = figures[name]
            if low is None:  # the corpus never captured this region
                continue
            change = "better" if high < 0 else "worse" if low > 0 else "not clearly changed"
            said.append(f"{name.upper()} {change}")
        score = figures["score"][0]
        lines.append(f"- {row.label}: score {score:+.2f}; {', '.join(said)}.")
    return lines

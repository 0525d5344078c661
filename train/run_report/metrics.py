"""Sections of all metrics, a narrow table for each question that they answer, and of emotion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from esarm_env.metrics.variant import DIRECTIONS
from train.rows import RECORDINGS, Row, rows_from_json
from train.run_report.cells import UNKNOWN, header, line
from train.run_report.metric_rows import measured_quantities

if TYPE_CHECKING:
    from esarm_env.metrics import Quantity
    from train.run.run_folder import RunFolder

EMOTION = "emotion_accuracy"
# Question, and what answers it with a heading that fits into a narrow table.
QUESTIONS: dict[str, dict[str, str]] = {
    "How far are the lips off?": {
        "lve_max_l2_mm": "LVE, max",
        "lve_mean_l2_mm": "LVE, mean",
        "lve_max_l2_centred_mm": "LVE, centred",
        "lve_max_squared_l2_m2": "LVE, squared",
    },
    "How far are eyes and forehead off?": {
        "eve_max_l2_mm": "EVE, max",
        "eve_mean_l2_mm": "EVE, mean",
        "eve_without_eyelids_max_l2_mm": "EVE without eyelids",
        "eve_max_squared_l2_m2": "EVE, squared",
    },
    "Do the lips move with the speech?": {
        "opening_correlation": "mouth-opening correlation",
        "closure_event_f1": "closure-event F1",
        "lip_speed_predicted": "lip speed",
        "jerk_predicted": "jerk",
    },
    "Is the upper face as lively as recorded?": {
        "fdd": "FDD, signed",
        "fdd_absolute": "FDD, absolute",
    },
}
_SMALL, _LARGE = 0.01, 1000.0  # beyond these a column has a power of ten in its heading


def metrics_sections(results: Mapping[str, Any]) -> str:
    """Return all metrics, split by question; what has no place in `QUESTIONS` comes last."""
    known = {key: each for key, each in measured_quantities().items() if key != EMOTION}
    rows = rows_from_json(results["measures"])
    placed = {key for columns in QUESTIONS.values() for key in columns}
    others = {key: quantity.name for key, quantity in known.items() if key not in placed}
    parts = [
        "## All metrics",
        "Each over the utterances for which it is defined; one sample of each utterance stands for "
        "sampled animations. ↓ less is better, ↑ more, →0 nearer to zero; without an arrow "
        "(speed, jerk) there is no best direction, and the recordings show where it belongs. "
        "Figures of other papers compare with the variant that they name.",
    ]
    for question, columns in (QUESTIONS | {"What else is measured": others}).items():
        shown = {key: title for key, title in columns.items() if key in known}
        if shown:
            parts += [f"### {question}", _definitions(shown, known), _table(rows, shown, known)]
    return "\n\n".join(parts)


def _definitions(columns: Mapping[str, str], known: Mapping[str, Quantity]) -> str:
    """Return what each column is; with the metric's name where its heading is another."""
    lines = []
    for key, title in columns.items():
        quantity = known[key]
        same = title.startswith(quantity.name)
        lines.append(f"- {title}: {quantity.variant if same else quantity.label}")
    return "\n".join(lines)


def _table(
    rows: Mapping[Row, Mapping[str, Any]],
    columns: Mapping[str, str],
    known: Mapping[str, Quantity],
) -> str:
    """Return a row for each animation; figures of a very large or small unit by powers of ten."""
    powers = {key: _power([figures.get(key, UNKNOWN) for figures in rows.values()])
              for key in columns}  # fmt: skip
    titles = [f"{title}{_unit(known[key], powers[key])}" for key, title in columns.items()]
    scales = {key: 10.0**-power for key, power in powers.items()}
    lines = [header("animation", titles)]
    lines += [line(row.label, figures, columns, scales=scales) for row, figures in rows.items()]
    return "\n".join(lines)


def _unit(quantity: Quantity, power: int) -> str:
    """Return unit and arrow as a heading ends, such as ` (1e-6 m²) ↓`."""
    unit = "" if quantity.unit == "1" else f" ({f'1e{power} ' if power else ''}{quantity.unit})"
    return f"{unit} {DIRECTIONS[quantity.better]}".rstrip()


def _power(figures: Sequence[Sequence[float | None]]) -> int:
    """Return the power of ten that the largest mean of a column is written in."""
    largest = max((abs(mean) for mean, *_ in figures if mean is not None), default=0.0)
    if largest == 0 or _SMALL <= largest < _LARGE:
        return 0
    return math.floor(math.log10(largest))


def emotion_section(run: RunFolder, results: Mapping[str, Any]) -> str:
    """Return how often a judge sees the wanted emotion."""
    rows = {
        row: figures
        for row, figures in rows_from_json(results["measures"]).items()
        if None not in figures.get(EMOTION, UNKNOWN)
    }
    if not rows:
        return (
            "## Is the emotion seen?\n\nThe recordings show one emotion alone: there is nothing "
            "to tell apart, and no emotion accuracy."
        )
    emotions = len(run.summary("corpus").get("emotions", []))
    chance = f" Guessing is right in 1 of {emotions}, {1 / emotions:.2f}." if emotions > 1 else ""
    truth = rows.get(Row(RECORDINGS))
    limit = (
        f" It is right about {truth[EMOTION][0]:.2f} of the recordings themselves: what is as "
        "high cannot be told from them by it." if truth else ""
    )  # fmt: skip
    lines = [
        "## Is the emotion seen?",
        "",
        "Emotion accuracy ↑: share of test utterances whose emotion a judge names. The judge is a "
        "softmax regression on mean, deviation and percentiles of each face curve, trained on the "
        f"training recordings, plain and through the tokenizer; no human judged.{chance}{limit} "
        "A policy is told the emotion, and so is the mean face of the condition, which shows it by "
        "standing still: a high share says that the emotion did not get lost, and nothing of how "
        "the face moves.",
        "",
        header("animation", ["emotion accuracy ↑"]),
    ]
    return "\n".join([*lines, *(line(row.label, f, [EMOTION]) for row, f in rows.items())])

"""All metrics by question, and what the report says of emotions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from train.rows import MEAN_FACE, RECORDINGS, TOKENIZER, Row, greedy, rows_to_json
from train.run_report.metric_rows import measured_quantities
from train.run_report.metrics import QUESTIONS, emotion_section, metrics_sections


def results(key: str, figures: dict[Row, list[float | None]]) -> dict[str, Any]:
    """Return results with one metric of some rows."""
    return {"measures": rows_to_json({row: {key: triple} for row, triple in figures.items()})}


def run_of(*emotions: str) -> Any:
    """Return a run whose corpus shows these emotions."""
    return SimpleNamespace(summary=lambda stage: {"emotions": list(emotions)})


def test_every_metric_answers_one_question() -> None:
    """What no question asks for would end in a table without a name, or nowhere."""
    placed = [key for columns in QUESTIONS.values() for key in columns]
    assert len(placed) == len(set(placed))
    assert {*placed, "emotion_accuracy"} == set(measured_quantities())


def test_small_and_large_units_are_written_by_powers_of_ten() -> None:
    """`1.23e-05 [1.20e-05, 1.26e-05]` in every cell is what made the table 260 columns wide."""
    small = results("lve_max_squared_l2_m2", {greedy("clone"): [2.5e-5, 2e-5, 3.04e-5]})
    text = metrics_sections(small)
    assert "LVE, squared (1e-5 m²) ↓" in text and "2.50 [2.00, 3.04]" in text
    large = results("jerk_predicted", {greedy("clone"): [25_412.0, 24_829.0, 26_022.0]})
    text = metrics_sections(large)
    assert "jerk (1e4 mm/s³) |" in text and "2.54 [2.48, 2.60]" in text
    assert "mouth-opening correlation ↑ |" in text  # no unit, no power


def test_the_emotion_judge_is_explained_with_chance_and_what_it_makes_of_recordings() -> None:
    """0.70 for recordings and for a still mean face says nothing to who does not know the judge."""
    share = [0.7, 0.65, 0.75]
    rows = {Row(each): share for each in (RECORDINGS, TOKENIZER, MEAN_FACE)}
    text = emotion_section(run_of("sad", "happy", "neutral", "fear"), results("emotion_accuracy",
                           {**rows, greedy("ppo"): [None, None, None]}))  # fmt: skip
    assert "a softmax regression" in text and "no human judged" in text
    assert "Guessing is right in 1 of 4, 0.25." in text
    assert "It is right about 0.70 of the recordings themselves" in text
    assert "the mean face of the condition, which shows it by standing still" in text
    assert "| recordings | 0.70 [0.65, 0.75] |" in text and "| ppo" not in text


@pytest.mark.parametrize("rows", [{}, {Row(RECORDINGS): [None, None, None]}])
def test_one_emotion_alone_is_said_to_leave_nothing_to_judge(
    rows: dict[Row, list[float | None]],
) -> None:
    """A table of n/a asks the reader what went wrong."""
    text = emotion_section(run_of("neutral"), results("emotion_accuracy", rows))
    assert "one emotion alone" in text and "|" not in text

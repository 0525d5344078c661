"""Rows of results: what they are about, how they are called, and how they are kept."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from train.rows import (
    MEAN_FACE,
    RECORDINGS,
    TOKENIZER,
    Row,
    expected,
    greedy,
    noisy,
    rows_from_json,
    rows_to_json,
    sampled,
)

LABELS = [
    (Row(RECORDINGS), "recordings", "recordings"),
    (Row(TOKENIZER), "recordings through the tokenizer", "through the tokenizer"),
    (Row(MEAN_FACE), "mean face of the condition", "mean face"),
    (greedy("clone"), "clone, greedy", "clone, greedy"),
    (sampled("ppo"), "ppo, sampled", "ppo, sampled"),
    (noisy("clone", 0.02), "clone, epsilon 0.02", "clone, epsilon 0.02"),
    (noisy("clone", 1.0), "clone, epsilon 1", "clone, epsilon 1"),
    (greedy("mine, greedy"), "mine, greedy, greedy", "mine, greedy, greedy"),
    (expected("ppo"), "ppo, expected distance", "ppo, expected distance"),
    (sampled("ppo", 0.7), "ppo, sampled at temperature 0.7", "ppo, sampled at temperature 0.7"),
]


@pytest.mark.parametrize(("row", "label", "short"), LABELS)
def test_labels_are_those_of_the_report(row: Row, label: str, short: str) -> None:
    """Published tables would be told apart by their wording alone."""
    assert (row.label, row.short_label) == (label, short)


@pytest.mark.parametrize(("row", "label", "short"), LABELS)
def test_summaries_of_older_runs_are_read_by_their_labels(row: Row, label: str, short: str) -> None:
    """A finished run is hours of work, and its report is written anew by every `esarm run`."""
    figures = {"lve": [1.0, 0.5, 1.5]}
    assert rows_from_json({label: figures}) == {row: figures}
    assert rows_from_json({short: figures}) == {row: figures}


def test_rows_survive_json() -> None:
    """What is read back must be found by the same row, in the same order."""
    rows = {row: {"lve": [number, None, 2.0]} for number, (row, *_) in enumerate(LABELS)}
    content = json.loads(json.dumps(rows_to_json(rows)))
    assert rows_from_json(content) == rows
    assert list(rows_from_json(content)) == list(rows)
    assert [entry["label"] for entry in content] == [label for _, label, _ in LABELS]
    assert content[5] == {
        "label": "clone, epsilon 0.02",
        "source": "policy",
        "policy": "clone",
        "decoding": "noisy",
        "epsilon": 0.02,
        "figures": {"lve": [5, None, 2.0]},
    }


def test_a_level_in_single_precision_is_the_same_row() -> None:
    """Demonstrations keep their levels as float32, settings as float64."""
    assert noisy("clone", float(np.float32(0.02))) == noisy("clone", 0.02)
    assert noisy("clone", 0.02) != noisy("clone", 0.021)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            ("truth",),
            "`source` must be one of recordings, tokenizer, mean face, regressor, policy, got ",
        ),
        (("policy",), "`policy` must be named for the source 'policy' alone, got '' for 'policy'"),
        (("recordings", "ppo"), "`policy` must be named for the source 'policy' alone, got 'ppo'"),
        (
            ("policy", "ppo", "beam"),
            "`decoding` must be one of 'greedy', 'expected distance', ",
        ),
        (("tokenizer", "", "greedy"), "`decoding` must be one of '', got 'greedy'"),
        (
            ("policy", "ppo", "noisy"),
            "`epsilon` must be given for 'noisy' decoding alone, got None",
        ),
        (("policy", "ppo", "greedy", 0.5), "`epsilon` must be given for 'noisy' decoding alone, "),
        (
            ("policy", "ppo", "greedy", None, 0.5),
            "`temperature` must be given for 'sampled' decoding at another than 1 alone, got 0.5",
        ),
        (
            ("policy", "ppo", "sampled", None, 1.0),
            "`temperature` must be given for 'sampled' decoding at another than 1 alone, got 1.0",
        ),
    ],
)
def test_a_row_that_means_nothing_is_refused(fields: tuple[Any, ...], message: str) -> None:
    """Two spellings of one row would have one's figures missing from the other's."""
    with pytest.raises(InputError, match=re.escape(message)):
        Row(*fields)


@pytest.mark.parametrize("label", ["clone", "clone, beam", "clone, epsilon much", "", ", greedy"])
def test_a_label_of_no_row_is_refused(label: str) -> None:
    """A damaged summary must not end in a report without its main row."""
    with pytest.raises(InputError, match=re.escape(f"got {label!r}; delete the stage's folder")):
        rows_from_json({label: {}})


@pytest.mark.parametrize("content", [None, 3, [1], [{"label": "clone, greedy"}], ["clone, greedy"]])
def test_content_that_is_no_list_of_rows_is_refused(content: Any) -> None:
    """One line with a remedy, not a KeyError."""
    with pytest.raises(InputError, match="rows of results must be a list of rows with figures"):
        rows_from_json(content)

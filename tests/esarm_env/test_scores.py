"""Reference scores: the same figures in README, docstring, threshold and command, of what ships."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import gymnasium
import pytest

import esarm_env
from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.scores import (
    COLUMNS,
    GREEDY_CLONE,
    RECORDED,
    SCORES_FILE,
    measured_files,
    reference_scores,
)

IDS = ("ESARM-v0", "ESARM-Short-v0")
README = Path(esarm_env.__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def content() -> dict:
    """Return what ships."""
    return json.loads(SCORES_FILE.read_text(encoding="utf-8"))


def test_the_scores_are_of_the_weights_that_ship(content: dict) -> None:
    """New weights beside old scores: whoever compares with them is misled (`esarm scores`)."""
    assert content["assets"] == measured_files(), "esarm scores --measure --json FILE"
    assert list(content["tables"]) == list(IDS)


@pytest.mark.parametrize("env_id", IDS)
def test_every_row_has_every_figure_with_its_error(env_id: str) -> None:
    """Of a table with gaps nobody knows what was not measured."""
    scores = reference_scores(env_id)
    assert (scores.split, scores.n_utterances) == ("validation", 32)
    assert len(scores.rows) == 9
    for name, row in scores.rows.items():
        assert tuple(row) == COLUMNS, name
        assert all(error >= 0 for _, error in row.values())
    lve = {name: row["lve"][0] for name, row in scores.rows.items()}
    assert lve["recording"] == 0 < lve[RECORDED] < lve[GREEDY_CLONE] < lve["random tokens"]
    returns = {name: row["return"][0] for name, row in scores.rows.items()}
    assert returns["random tokens"] < returns[GREEDY_CLONE]


@pytest.mark.parametrize("env_id", IDS)
def test_the_threshold_is_what_the_clone_gets(env_id: str) -> None:
    """A threshold that nobody measured is passed by everyone, or by none."""
    spec = gymnasium.spec(env_id)
    assert spec.reward_threshold == reference_scores(env_id).threshold
    assert spec.reward_threshold > reference_scores(env_id).rows[GREEDY_CLONE]["return"][0]


def test_readme_and_docstring_hold_the_table() -> None:
    """Copies go stale one by one."""
    scores = reference_scores()
    readme = README.read_text(encoding="utf-8")
    docstring = inspect.getdoc(SpeechAnimationEnv) or ""
    for text in (readme, docstring):
        assert scores.markdown() in text
        assert scores.warning in " ".join(text.split())


def test_an_unknown_environment_is_refused() -> None:
    """A KeyError does not say what there is."""
    rule = "`env_id` must be one of ESARM-v0, ESARM-Short-v0, got 'ESARM-v1'"
    with pytest.raises(InputError, match=re.escape(rule)):
        reference_scores("ESARM-v1")


def test_the_table_for_a_terminal_has_a_line_for_each_row() -> None:
    """A column that is too narrow runs into its neighbour."""
    *lines, last = reference_scores().text().splitlines()
    assert len(lines) == 2 + 9
    assert len({len(line) for line in lines[1:]}) == 1
    assert last == f"{reference_scores().warning}."
    assert lines[0].startswith("ESARM-v0, reward `learned`, 32 validation utterances")

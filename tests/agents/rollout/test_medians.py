"""Medians of samples: of the same samples that others draw, whatever batch they are drawn in."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from agents import Decoding, MotionTransformer, animate_utterances
from agents.protocols import IntArray, SequenceTask
from agents.rollout import animation as module
from agents.rollout.generation import generate
from agents.rollout.named_decoding import NamedDecoding
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds

ROWS = np.array([11, 0, 7, 0])
OF_THREE = Decoding(1.0, median_of=3)


class Middle:
    """A task whose tokens are numbers, of which there is a median."""

    def __init__(self, task: SequenceTask) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def median_tokens(self, utterances: IntArray, tokens: IntArray) -> IntArray:
        """Return the median token by token."""
        assert len(utterances) == len(tokens)
        return np.median(tokens, axis=1).astype(np.int64)


def test_the_median_is_that_of_the_samples_that_sampling_draws(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Sample numbers go on where another median of the utterance ended."""
    for sample in (0, 2):
        found = animate_utterances(
            model, Middle(task), ROWS, decoding=OF_THREE, seed=3, sample=sample
        )
        draws = [
            animate_utterances(model, task, ROWS, decoding=Decoding(1.0), seed=3, sample=number)
            for number in range(3 * sample, 3 * sample + 3)
        ]
        expected = np.median([draw.tokens for draw in draws], axis=0)
        np.testing.assert_array_equal(found.tokens, expected)
        np.testing.assert_array_equal(found.lengths, draws[0].lengths)
        np.testing.assert_array_equal(found.condition, draws[0].condition)
        assert any((draw.tokens != found.tokens).any() for draw in draws)


def test_the_batch_changes_nothing(
    model: MotionTransformer, task: SequenceTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Utterances are taken some at a time, each padded to the longest of its own."""
    whole = animate_utterances(model, Middle(task), ROWS, decoding=OF_THREE, seed=3)
    monkeypatch.setattr(module, "_TOGETHER", 1)
    alone = animate_utterances(model, Middle(task), ROWS, decoding=OF_THREE, seed=3)
    np.testing.assert_array_equal(whole.tokens, alone.tokens)


def test_a_task_that_knows_no_median_is_refused(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """The mean of token numbers would be no animation."""
    with pytest.raises(InputError, match="`task` must offer `median_tokens`"):
        animate_utterances(model, task, ROWS, decoding=OF_THREE, seed=3)


def test_what_writes_token_by_token_refuses_a_median(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """It would give a single sample and call it the median."""
    seeds = sequence_seeds(run_seed=0, iteration=0, utterances=ROWS, samples=0)
    condition = task.condition_of(ROWS)
    with pytest.raises(InputError, match="must choose tokens here, got a median of 3 samples"):
        generate(model, task, ROWS, condition=condition, decoding=OF_THREE, seeds=seeds)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"median_of": 3}, "`temperature` must be above 0 for a median of 3 samples, got 0"),
        (
            {"temperature": 1.0, "median_of": 3, "epsilon": 0.1},
            "`epsilon` must be 0 with `median_of`, got 0.1",
        ),
        (
            {"temperature": 1.0, "median_of": -1},
            "`median_of` must be a whole number of at least 0, got -1",
        ),
        ({"median_of": 3, "beam": 2}, "`temperature` must be above 0 for a median"),
    ],
)
def test_settings_that_no_median_has_are_refused(settings: dict[str, Any], message: str) -> None:
    """One of the two would be ignored."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Decoding(**settings)


def test_its_name_stands_for_32_samples_or_as_many_as_are_asked_for(
    model: MotionTransformer,
) -> None:
    """The command line knows names alone."""
    assert NamedDecoding("median").of(model) == Decoding(1.0, median_of=32)
    asked = NamedDecoding("median", 0.8, 4, 0.9, median_of=5).of(model)
    assert asked == Decoding(0.8, top_k=4, top_p=0.9, median_of=5)
    assert asked.name == "median"
    for settings, message in (
        ({"median_of": 3}, "`median_of` must be left out of auto decoding, got 3"),
        ({"name": "median", "beam": 3}, "`beam` must be left out of median decoding, got 3"),
        ({"name": "median", "temperature": 0.0}, "`temperature` must be at least 0.001 to sample"),
        ({"name": "median", "median_of": -2}, "`median_of` must be a whole number of at least 0"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            NamedDecoding(**settings)

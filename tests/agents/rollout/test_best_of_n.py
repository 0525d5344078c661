"""Best of n: the highest score of each utterance, among what the policy would draw anyway."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from agents import Decoding, MotionTransformer, animate_utterances, best_of_n
from agents.protocols import FloatArray, SequenceTask
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories

_ROWS = np.array([11, 0, 7])


def _share_of_twos(written: Trajectories) -> FloatArray:
    return ((written.tokens == 2).sum(axis=1) / written.lengths).astype(np.float32)


def test_the_highest_score_of_each_utterance_is_taken(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Utterances are judged each for itself, whatever draw that of a neighbour comes from."""
    best, scores = best_of_n(model, task, _ROWS, score=_share_of_twos, n=6, seed=3)
    draws = [
        animate_utterances(model, task, _ROWS, decoding=Decoding(1.0), seed=3, sample=number)
        for number in range(6)
    ]
    expected = np.stack([_share_of_twos(draw) for draw in draws], axis=1)
    np.testing.assert_array_equal(scores, expected)
    winners = expected.argmax(axis=1)
    assert len(set(winners.tolist())) > 1
    for row, winner in enumerate(winners):
        np.testing.assert_array_equal(best.tokens[row], draws[winner].tokens[row])
    np.testing.assert_array_equal(best.lengths, draws[0].lengths)
    np.testing.assert_array_equal(best.condition, draws[0].condition)


def test_of_equal_scores_the_first_is_taken(model: MotionTransformer, task: SequenceTask) -> None:
    """A reward that cannot tell must not make the result depend on n."""
    one, many = (
        best_of_n(model, task, _ROWS, score=lambda w: np.zeros(len(w), np.float32), n=n)[0]
        for n in (1, 4)
    )
    np.testing.assert_array_equal(one.tokens, many.tokens)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "`n` must be at least 1, got 0"),
        ({"decoding": Decoding()}, "`decoding` must leave something to chance, got greedy"),
        (
            {"decoding": Decoding(expected_distance=True)},
            "`decoding` must leave something to chance, got expected-distance",
        ),
        ({"decoding": Decoding(beam=2)}, "`decoding` must leave something to chance, got beam"),
        (
            {"score": lambda written: np.full(len(written), np.nan)},
            "`score` must return 3 finite scores, one for each animation, got [nan nan nan]",
        ),
        (
            {"score": lambda written: np.zeros((len(written), 2))},
            "`score` must return 3 finite scores, one for each animation, got (3, 2)",
        ),
    ],
)
def test_what_cannot_choose_is_refused(
    model: MotionTransformer, task: SequenceTask, options: dict[str, Any], message: str
) -> None:
    """n equal animations are no choice, and every comparison with nan is false."""
    given = {"score": _share_of_twos, "n": 2, **options}
    with pytest.raises(InputError, match=re.escape(message)):
        best_of_n(model, task, _ROWS, **given)

"""Agreement of raters: against figures worked out by hand, and at both ends."""

from __future__ import annotations

import math

import pytest

from reward.judging import agreement_of, agreement_with_scores
from reward.judging.agreement import cohen_kappa, krippendorff_alpha, share_by_group
from reward.pairs.preference_file import Preference, RatedAnimation

TIME = "2026-03-01T12:00:00+00:00"


def said(rater, pair, better, *, swapped=False, utterance="u"):
    shown = [RatedAnimation(f"{pair}{side}", f"{pair}{side}") for side in "12"]
    if swapped:
        shown, better = shown[::-1], {"a": "b", "b": "a"}.get(better, better)
    return Preference(utterance, shown[0], shown[1], better, rater, TIME)


def test_sides_do_not_matter_to_agreement():
    """The same preference on the other side is the same answer."""
    answers = [
        said("ann", "p", "a"),
        said("ann", "p", "a", swapped=True),
        said("ann", "q", "b"),
        said("ann", "q", "a"),
        said("ann", "r", "tie"),
        said("bob", "p", "a", swapped=True),
        said("bob", "q", "b"),
        said("bob", "r", "cannot-tell"),
        said("bob", "s", "cannot-tell"),
    ]
    found = agreement_of(answers)
    assert found.answers == {"ann": 5, "bob": 4}
    assert (found.ties, found.cannot_tell) == (1, 2)
    assert (found.repeats, found.with_itself) == (2, 0.5)
    assert (found.shared, found.between, found.kappas) == (2, 1.0, {"ann, bob": 1.0})
    assert found.alpha == 1.0
    assert found.left == pytest.approx(2 / 6)
    assert found.to_dict()["alpha"] == 1.0


def test_nothing_shared_is_not_known():
    """A figure that is made up would be read as one."""
    found = agreement_of([said("ann", "p", "a")])
    assert math.isnan(found.between) and math.isnan(found.alpha) and math.isnan(found.with_itself)
    assert found.to_dict()["between"] is None
    assert agreement_of([]).answers == {}


def test_kappa_and_alpha_are_those_of_the_literature():
    """Cohen's table with 20, 5, 10 and 15, whose kappa is 0.4; two raters apart on one of four."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    units = {name: (("u", name), ("v", name)) for name in "pqrs"}
    answers = {
        "ann": {units["p"]: "x", units["q"]: "x", units["r"]: "z", units["s"]: "z"},
        "bob": {units["p"]: "x", units["q"]: "z", units["r"]: "z", units["s"]: "z"},
    }
    # 8 values, 3 x and 5 z: 1 - 7 * 2 / (64 - 9 - 25)
    assert krippendorff_alpha(answers) == pytest.approx(1 - 14 / 30)


def test_a_reward_agrees_with_whom_it_ranks_like():
    """Ties of raters are left out, those of the reward count one half."""
    answers = [
        said("ann", "p", "a"),
        said("ann", "p", "b", utterance="w"),
        said("ann", "q", "a", swapped=True),
        said("ann", "r", "tie"),
        said("ann", "unknown", "a"),
    ]
    scores = {
        ("u", "p1"): 1.0, ("u", "p2"): 0.0, ("w", "p1"): 1.0, ("w", "p2"): 0.0,
        ("u", "q1"): 2.0, ("u", "q2"): 2.0,
    }  # fmt: skip
    share, n = agreement_with_scores(answers, scores)
    assert n == 3 and share.mean == pytest.approx((1 + 0 + 0.5) / 3)
    assert share.low <= share.mean <= share.high
    assert math.isnan(share_by_group([]).mean) and math.isnan(share_by_group([[1.0]]).low)

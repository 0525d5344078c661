"""The way back from an improved policy to its clone, and the two rules that choose on it."""

import math

import numpy as np
import pytest
import torch

from agents.weights import load_policy
from esarm_env.envs.scalar import SpeechAnimationEnv
from train.stages.way_back import choices, members_of, stopping, turning_point, way_back

KEYS = ["lve", "eve"]


def row(lve, eve, *, score=0.0, likelihood=-2.0, **more):
    """Return figures of one point; the clone's log-likelihood deviates by 0.5."""
    figures = {"lve": lve, "eve": eve, "score": score, "clone_log_likelihood": likelihood}
    return figures | {"clone_log_likelihood_deviation": 0.5} | more


def test_errors_count_in_units_of_the_clones():
    """In mm the larger one would decide alone: 4 + 1 = 5 is as good as 3.5 + 1.5, and worse."""
    rows = [row(4.0, 1.0), row(3.6, 1.2), row(4.2, 0.8)]
    assert choices(rows, KEYS)["true-error"] == 2


def test_what_was_never_captured_decides_nothing():
    """nan in one error must neither win nor hide the other."""
    rows = [row(4.0, math.nan), row(3.0, math.nan), row(3.5, math.nan)]
    assert choices(rows, KEYS)["true-error"] == 1
    unknown = [row(math.nan, math.nan) for _ in range(3)]
    assert choices(unknown, KEYS) == {"true-error": None, "no-recordings": 0}
    assert turning_point([r | {"share": s} for r, s in zip(unknown, (0, 0.5, 1), strict=True)],
                         KEYS) is None  # fmt: skip


def test_without_recordings_the_score_counts_where_the_clone_finds_it_likely():
    """A hack is unlikely under the clone; the best score of all is where to be careful."""
    rows = [row(1, 1, score=0), row(1, 1, score=3, likelihood=-2.4), row(1, 1, score=9, likelihood=-2.6)]  # noqa: E501  # fmt: skip
    assert choices(rows, KEYS)["no-recordings"] == 1


def test_an_ensemble_that_disagrees_lowers_what_a_point_is_worth():
    """Its mean alone is what was climbed."""
    rows = [row(1, 1, score=0, lower_bound=-0.5), row(1, 1, score=2, lower_bound=-0.2),
            row(1, 1, score=3, lower_bound=-0.4)]  # fmt: skip
    assert choices(rows, KEYS)["no-recordings"] == 1


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([1.0, 0.75, 1.0], 0.5),  # 1 - t + t^2
        ([1.0, 0.8125, 0.75], 1.0),  # the vertex is at the end
        ([1.0, 1.2, 1.0], 0.0),  # a hill: the better end, the clone where both are as good
        ([1.0, 1.2, 0.9], 1.0),
        ([1.0, 1.1, 1.4], 0.0),  # the vertex lies before the clone
    ],
)
def test_the_root_is_where_the_errors_parabola_turns(errors, expected):
    """By hand; outside of [0, 1] lie policies that nobody measured."""
    rows = [row(e, e, share=s) for e, s in zip(errors, (0.0, 0.5, 1.0), strict=True)]
    assert turning_point(rows, KEYS) == pytest.approx(expected)


def test_stopping_iterations_are_those_that_were_measured():
    """Row 2 has no figures, and the first row's are the clone's unless every row was measured."""
    rows = [
        {"step": step, **{f"validation_{k}": v for k, v in row(0, 0, score=score).items()}}
        | {"validation_lve_mm": error, "validation_eve_mm": error}
        for step, score, error in ((1, 0, 2.0), (3, 1, 1.0), (6, 2, 1.5))
    ]
    rows.insert(1, {"step": 2, "score": 5.0})
    assert stopping(rows, from_clone=True) == {"true-error": 3, "no-recordings": 6}
    assert stopping(rows[:1], from_clone=True) == {"true-error": 0, "no-recordings": 0}
    assert stopping(rows[:1], from_clone=False) == {"true-error": 1, "no-recordings": 1}
    assert stopping(rows[1:2], from_clone=True) == {"true-error": None, "no-recordings": None}


def test_members_are_those_of_an_ensemble_of_two_or_more():
    """The spread of one member is nan, and nan is no lower bound."""

    class Ensemble:
        def __init__(self, members):
            self.members = members

        def score_members(self, written):
            return np.zeros((self.members, len(written)))

    assert members_of(Ensemble(1), [0, 0]) is None
    assert members_of(Ensemble(3), [0, 0]).shape == (3, 2)
    assert members_of(object(), [0]) is None


def test_the_curve_begins_with_the_clone_itself(finished_run):
    """Its first point is what all others are held against: no divergence, the clone's errors."""
    clone = load_policy(finished_run / "clone")
    improved = load_policy(finished_run / "clone")
    with torch.no_grad():
        improved.to_logits.add_(0.3 * torch.randn(improved.to_logits.shape))
    env = SpeechAnimationEnv(finished_run, reward="accuracy", metrics=False)
    utterances = env.sequence_task.corpus.split("validation")
    found = way_back(clone, improved, env, utterances, seed=0, shares=(0.0, 1.0))
    first, last = found["curve"]
    assert (first["share"], last["share"]) == (0.0, 1.0)
    assert first["kl"] == 0
    assert last["kl"] > 0.01
    decodings = {key.split("_")[0] for key in first if key.endswith("_mm")}
    assert decodings == {"greedy", "expected-distance", "sampled"}
    assert found["decoding"] == "expected-distance"
    best = min(found["curve"], key=lambda r: r["expected-distance_lve_mm"] / first[
        "expected-distance_lve_mm"] + r["expected-distance_eve_mm"] / first[
        "expected-distance_eve_mm"])  # fmt: skip
    assert found["chosen"]["true-error"] == best["share"]

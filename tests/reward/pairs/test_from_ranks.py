"""Labelled pairs from ranks and scores: who meets whom, how often, and with which probability."""

import re

import numpy as np
import pytest

from reward.demonstrations import RankedDemonstrations, collect, damaged, ground_truth
from reward.demonstrations.order import SoftLabels, fitted_curve
from reward.demonstrations.ranked import RankedDemonstrations as Ranked
from reward.pairs.from_ranks import RankedPairs, crop_windows
from reward.pairs.labelled import LabelledPairs, pairs_of_scores

UTTERANCES = np.array([4, 1, 5])
LEVELS = (0.0, 0.05, 0.5)


@pytest.fixture
def rolled(tiny_task, roll_out):
    return collect(roll_out, tiny_task, UTTERANCES, epsilons=LEVELS, rollouts=2, seed=7)


@pytest.fixture
def mixed(tiny_task, rolled):
    """Roll-outs, ground truth, and two families, of which one leaves the mouth alone."""
    base = RankedDemonstrations.concatenate([rolled, ground_truth(tiny_task.recorded(UTTERANCES))])
    made = damaged(
        base, tiny_task, families=("time-shift", "other-upper"), strengths=(0.5, 1.0), seed=0
    )
    return RankedDemonstrations.concatenate([base, made])


def test_pairs_share_utterance_and_keep_the_gap(rolled):
    """Across utterances a model learns which sentence is easy; near levels are coin tosses."""
    pairs = RankedPairs(rolled, min_gap=0.1).all()
    assert len(pairs) == 3 * (2 * 2) * 2  # (0, 0.5) and (0.05, 0.5), two roll-outs each
    pairs.check_within(rolled.utterance)
    gap = rolled.epsilon[pairs.b] - rolled.epsilon[pairs.a]
    assert gap.min() > 0.44 and set(pairs.probability) == {1.0} and set(pairs.stream) == {3}
    assert len(RankedPairs(rolled, min_gap=0.05)) == 3 * 4 * 3
    assert len(RankedPairs(rolled, min_gap=0.0501)) == 3 * 4 * 2


def test_drawing_is_even_over_kinds_and_utterances(mixed):
    """A family with many strengths must not crowd the noise out."""
    sampler = RankedPairs(mixed, min_gap=0.0)
    assert sampler.kinds == ("epsilon", "ground-truth", "across", "other-upper", "time-shift")
    drawn = sampler.draw(20_000, np.random.default_rng(0))
    drawn.check_within(mixed.utterance)
    damage = mixed.making.family[drawn.a] + mixed.making.family[drawn.b]
    noise = (damage == "") & (mixed.making.rank[drawn.a] >= 0) & (mixed.making.rank[drawn.b] >= 0)
    assert abs(noise.mean() - 0.2) < 0.01
    shares = [(mixed.utterance[drawn.a] == u).mean() for u in UTTERANCES]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.015)
    assert abs((drawn.probability == 1).mean() - 0.5) < 0.015, "no side is the better one"
    everything = sampler.all()
    pairs = {frozenset(p) for p in zip(drawn.a.tolist(), drawn.b.tolist(), strict=True)}
    assert pairs == {
        frozenset(p) for p in zip(everything.a.tolist(), everything.b.tolist(), strict=True)
    }


def test_drawing_repeats_with_the_generator(mixed):
    """Resuming a run must meet the same pairs."""
    sampler = RankedPairs(mixed)
    one, again, other = (sampler.draw(50, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.a, again.a)
    assert (one.a != other.a).any()


def test_the_better_animation_is_likelier_on_either_side(rolled):
    """A probability that is not turned with the pair teaches the opposite half of the time."""
    labels = SoftLabels({"epsilon": {"mouth": ((1.0,), (0.9,)), "upper": ((1.0,), (0.9,))}})
    drawn = RankedPairs(rolled, labels=labels).draw(500, np.random.default_rng(0))
    first_better = rolled.epsilon[drawn.a] < rolled.epsilon[drawn.b]
    assert 0 < first_better.mean() < 1
    gap = np.abs(rolled.epsilon[drawn.a] - rolled.epsilon[drawn.b])
    expected = 0.5 + 0.4 * gap
    np.testing.assert_allclose(
        drawn.probability, np.where(first_better, expected, 1 - expected), atol=1e-6
    )


def test_each_stream_has_its_own_probability_and_only_its_own_pairs(mixed):
    """The head for lips must not be told that an upper face decides."""
    labels = SoftLabels(
        {
            "time-shift": {"mouth": ((1.0,), (0.9,)), "upper": ((1.0,), (0.7,))},
            "other-upper": {"mouth": ((1.0,), (0.6,)), "upper": ((1.0,), (0.8,))},
        }
    )
    sampler = RankedPairs(mixed, labels=labels, kinds=("time-shift", "other-upper"))
    once, split = sampler.all(), sampler.all(by_stream=True)
    kinds = np.array(sampler.kind_of())
    assert set(once.stream[kinds == "other-upper"]) == {2}
    assert set(once.stream[kinds == "time-shift"]) == {3}
    assert once.probability[kinds == "time-shift"].max() == pytest.approx(0.8)
    assert once.probability[kinds == "other-upper"].max() == pytest.approx(0.8)
    assert len(split) == 2 * (kinds == "time-shift").sum() + (kinds == "other-upper").sum()
    mouth = split[split.concerning("mouth")]
    assert set(mouth.stream) == {1} and len(mouth) == (kinds == "time-shift").sum()
    assert mouth.probability.max() == pytest.approx(0.9)
    assert "other-upper" not in mixed.making.family[mouth.b]


def test_what_cannot_be_compared_is_refused(rolled, mixed, tiny_task):
    """Each message names what was found."""
    level = rolled[rolled.epsilon == 0.5]
    first = rolled[(rolled.utterance == 4) & (rolled.epsilon == 0)]
    second = rolled[(rolled.utterance == 1) & (rolled.epsilon == 0.5)]
    apart = Ranked.concatenate([first, second])
    truth = ground_truth(tiny_task.recorded(UTTERANCES))
    twice = Ranked.concatenate([truth, truth])
    rows = [
        (lambda: RankedPairs(level), "must hold at least two noise levels, got [0.5] only"),
        (lambda: RankedPairs(apart), "equal ranks only (4 animations of 2 utterances)"),
        (lambda: RankedPairs(twice), "equal ranks only (6 animations of 3 utterances)"),
        (
            lambda: RankedPairs(rolled, min_gap=0.6),
            "`min_gap` and `kinds` must leave a pair, got 0.6 (strength 0.0) and None; "
            "the largest gap is 0.5, and kinds are epsilon",
        ),
        (
            lambda: RankedPairs(mixed, kinds=("blend",)),
            "`kinds` must be among epsilon, ground-truth, across, other-upper, time-shift, "
            "got blend",
        ),
    ]
    for act, message in rows:
        with pytest.raises(ValueError, match=re.escape(message)):
            act()


def test_pairs_that_are_none_are_refused():
    """Half a label is worse than none."""
    good = LabelledPairs.of(np.array([0, 2]), np.array([1, 3]), np.array([1.0, 0.5]))
    columns = dict(vars(good))
    rows = [
        ({"b": np.array([0, 3])}, "`a` and `b` must be different rows, got 0 twice"),
        ({"b": np.array([1])}, "`b` must have shape (2,), got (1,)"),
        ({"probability": np.array([0.5, np.nan])}, "`probability` must be in [0, 1], got"),
        ({"probability": np.array([0.5, 1.5])}, "`probability` must be in [0, 1], got 0.5 to 1.5"),
        ({"weight": np.array([-1.0, 1.0])}, "`weight` must be finite and at least 0"),
        ({"weight": np.array([1.0, np.inf])}, "`weight` must be finite and at least 0"),
        ({"stream": np.array([0, 3])}, "`stream` must be 1, 2 or 3, got 0 to 3"),
    ]
    for change, message in rows:
        with pytest.raises(ValueError, match=re.escape(message)):
            LabelledPairs(**(columns | change))
    good.check_within(np.array([7, 7, 8, 8]))
    with pytest.raises(ValueError, match=re.escape("got utterances 8 and 9 in pair 1 (1 such")):
        good.check_within(np.array([7, 7, 8, 9]))
    with pytest.raises(ValueError, match=re.escape("must be of 3 animations, got row 3")):
        good.check_within(np.array([7, 7, 8]))


def test_lists_of_animations_can_be_put_behind_each_other():
    """Human choices and ranks train together."""
    one = LabelledPairs.of(np.array([0]), np.array([1]), np.array([1.0]), weight=2.0, stream=1)
    both = LabelledPairs.concatenate([one, one.shifted(5)])
    assert both.a.tolist() == [0, 5] and both.b.tolist() == [1, 6]
    assert both.weight.tolist() == [2.0, 2.0] and both.stream.tolist() == [1, 1]


def test_scores_become_pairs_by_their_difference():
    """By hand: sigmoid(1) is 0.731."""
    utterances = np.array([3, 3, 3, 8, 8])
    scores = np.array([1.0, 3.0, 3.0, 5.0, 1.0])
    pairs = pairs_of_scores(utterances, scores, scale=2.0, stream=2)
    assert pairs.a.tolist() == [1, 2, 3] and pairs.b.tolist() == [0, 0, 4]
    np.testing.assert_allclose(pairs.probability, [0.73106, 0.73106, 0.88080], atol=1e-5)
    assert set(pairs.stream) == {2}
    assert len(pairs_of_scores(utterances, scores, scale=2.0, least=2.0)) == 1


@pytest.mark.parametrize(
    ("scores", "scale", "message"),
    [
        ([1.0, np.nan], 1.0, "`scores` must be finite, got nan in row 1"),
        ([1.0, 1.0], 1.0, "`scores` must differ by more than 0.0 within some utterance"),
        ([1.0, 2.0], 0.0, "`scale` must be above 0, got 0.0"),
        ([1.0, 2.0, 3.0], 1.0, "`scores` must have shape (2,), got (3,)"),
    ],
)
def test_scores_that_say_nothing_are_refused(scores, scale, message):
    """A nan would spread through the loss."""
    with pytest.raises(ValueError, match=re.escape(message)):
        pairs_of_scores(np.array([3, 3]), np.array(scores), scale=scale)


def test_labels_are_believed_by_their_gap():
    """Linear between the gaps, one half at none, level beyond the last."""
    labels = SoftLabels({"epsilon": {"mouth": ((0.2, 0.4), (0.7, 0.9))}}, otherwise=0.8)
    gap = np.array([0.0, 0.1, 0.2, 0.3, 0.9], dtype=np.float32)
    found = labels.probability("epsilon", gap, stream="mouth")
    np.testing.assert_allclose(found, [0.5, 0.6, 0.7, 0.8, 0.9], atol=1e-6)
    for kind, stream in (("epsilon", "upper"), ("blend", "mouth")):
        np.testing.assert_allclose(labels.probability(kind, gap, stream=stream), 0.8)
    assert SoftLabels.from_dict(labels.as_dict()) == labels


def test_curves_never_fall_and_stay_within_belief():
    """Pooled by hand: (0.8 * 1 + 0.6 * 3) / 4 = 0.65."""
    gaps, shares = fitted_curve((0.1, 0.3, 0.2), (0.8, 0.9, 0.6), weights=(1, 10, 3))
    assert gaps == (0.1, 0.2, 0.3)
    assert shares == pytest.approx((0.65, 0.65, 0.9))
    assert fitted_curve((0.1, 0.2), (0.3, 1.0), weights=(1, 1))[1] == (0.5, 0.99)
    assert fitted_curve((0.1, 0.1), (0.6, 0.8), weights=(1, 1)) == ((0.1,), (0.7,))
    for gaps in ((), (0.0, 0.1)):
        with pytest.raises(ValueError, match=re.escape("`gaps` must be above 0, at least one")):
            fitted_curve(gaps, gaps, weights=gaps)


def test_crops_are_equal_within_a_pair_and_inside_the_animation(rng):
    """Cut differently, the two would not hear the same audio."""
    chunks = rng.integers(1, 40, size=2000)
    first, kept = crop_windows(chunks, chunks, shortest_share=0.5, rng=rng, shortest=8)
    assert (first >= 0).all() and (first + kept <= chunks).all()
    assert (kept >= np.minimum(chunks, np.maximum(np.ceil(chunks / 2), 8))).all()
    assert (first[kept < chunks] > 0).any() and (first + kept == chunks).any()
    whole, all_of_it = crop_windows(chunks, chunks, shortest_share=1.0, rng=rng)
    assert not whole.any() and (all_of_it == chunks).all()


def test_crops_of_unequal_animations_are_refused(rng):
    """Another length means another utterance, or another frame rate."""
    with pytest.raises(ValueError, match=re.escape("got 8 and 9 chunks in pair 1")):
        crop_windows(np.array([5, 8]), np.array([5, 9]), shortest_share=0.5, rng=rng)
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match=re.escape(f"at most 1, got {share}")):
            crop_windows(np.array([5]), np.array([5]), shortest_share=share, rng=rng)

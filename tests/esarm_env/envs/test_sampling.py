"""Which utterance comes next: uniform means uniform, weights are frequencies, buckets hold."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from esarm_env.core.errors import InputError
from esarm_env.core.types import Record, Trajectories
from esarm_env.envs.sampling import Sampling, UtteranceSampler
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask

# Not sorted by length, as corpora are not.
N_FRAMES = (30, 12, 90, 45, 45, 21, 60, 33, 75, 18)
RECORDS = tuple(
    Record(f"id-{index}", "anna", "sad" if index % 2 else "happy", 1, None, n_frames)
    for index, n_frames in enumerate(N_FRAMES)
)
ALL = np.arange(10)
UNEVEN = {"id-0": 1.0, "id-2": 4.0, "id-5": 0.5, "id-9": 2.5}
N_DRAWS = 20_000


class Zero:
    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.zeros(len(trajectories), np.float32)


def sampler_of(sampling: Sampling, utterances: np.ndarray = ALL) -> UtteranceSampler:
    return UtteranceSampler(sampling, utterances, records=RECORDS)


def counts_of(sampler: UtteranceSampler, *, seed: int = 0, n_draws: int = N_DRAWS) -> np.ndarray:
    """Return how often each utterance comes in as many episodes, shape (10,)."""
    numbers = np.random.default_rng(seed).random(n_draws)
    return np.bincount(sampler.draw_many(numbers, np.arange(n_draws)), minlength=10)


@pytest.mark.parametrize("n_buckets", [1, 2, 3, 7, 10, 25])
def test_equal_weights_draw_uniformly(n_buckets: int) -> None:
    """An utterance that comes more often is learned better than the table of results says."""
    counts = counts_of(sampler_of(Sampling(n_buckets=n_buckets)))
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("n_buckets", [1, 2, 3, 10])
def test_weights_are_frequencies(n_buckets: int) -> None:
    """Also with buckets, which cut across utterances where the weights do not come out even."""
    counts = counts_of(sampler_of(Sampling(UNEVEN, n_buckets=n_buckets)))
    expected = np.array([UNEVEN.get(record.id, 0.0) for record in RECORDS])
    assert counts[expected == 0].sum() == 0
    wanted = expected[expected > 0] / expected.sum() * N_DRAWS
    assert chisquare(counts[expected > 0], wanted).pvalue > 0.01


def test_weights_may_be_a_function_of_the_record() -> None:
    """Balancing emotions is what weights are mostly for."""
    sampling = Sampling(lambda record: 3.0 if record.emotion == "sad" else 1.0)
    counts = counts_of(sampler_of(sampling))
    expected = np.where(ALL % 2, 3, 1) / 20 * N_DRAWS
    assert chisquare(counts, expected).pvalue > 0.01


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1, 1e300])
def test_only_the_ratio_of_weights_counts(scale: float) -> None:
    """Weights of an optimiser or of counts are of any size."""
    plain, scaled = (
        sampler_of(Sampling({name: weight * by for name, weight in UNEVEN.items()}))
        for by in (1.0, scale)
    )
    np.testing.assert_array_equal(counts_of(plain), counts_of(scaled))


def test_weights_may_add_up_to_more_than_a_float_holds() -> None:
    """Each is finite, as the rule says; divided by infinity, only the longest utterance comes."""
    counts = counts_of(sampler_of(Sampling(lambda _: 1e308)))
    assert (counts > 0).all()


def test_the_whole_interval_is_mapped() -> None:
    """0 must not draw what has no weight, and the last number below 1 must draw something."""
    sampler = sampler_of(Sampling({"id-0": 0.1, "id-2": 0.1, "id-5": 0.1}))
    ends = np.array([0.0, np.nextafter(1.0, 0)])
    assert sampler.draw_many(ends, np.zeros(2, np.int64)).tolist() == [5, 2], "the longest last"
    bucketed = sampler_of(Sampling(n_buckets=5))
    near = (1e-9, 1 - 1e-9)
    drawn = {bucketed.draw(number, episode) for number in near for episode in range(5)}
    assert drawn == set(range(10))


@pytest.mark.parametrize("n_buckets", [1, 3, 5, 49])
def test_the_largest_number_draws_the_longest(n_buckets: int) -> None:
    """Ten times a tenth is a hair below 1: the number above it would draw nothing at all."""
    sampler = sampler_of(Sampling(n_buckets=n_buckets))
    number = float(np.nextafter(1, 0))
    drawn = [sampler.draw(number, episode) for episode in range(n_buckets)]
    assert 2 in drawn, "of 90 frames"
    many = sampler.draw_many(np.full(n_buckets, number), np.arange(n_buckets))
    assert many.tolist() == drawn


@pytest.mark.parametrize("n_buckets", [1, 2, 5, 11])
def test_many_are_drawn_as_one_is(n_buckets: int) -> None:
    """The scalar and the vector environment must not drift apart by a rounding."""
    sampler = sampler_of(Sampling(UNEVEN, n_buckets=n_buckets))
    rng = np.random.default_rng(2)
    numbers, episodes = rng.random(500), rng.integers(0, 400, 500)
    one_by_one = [
        sampler.draw(number, episode)
        for number, episode in zip(numbers.tolist(), episodes.tolist(), strict=True)
    ]
    assert sampler.draw_many(numbers, episodes).tolist() == one_by_one


def test_buckets_are_of_similar_length() -> None:
    """The k-th episodes of all environments end together: the point of buckets."""
    sampler = sampler_of(Sampling(n_buckets=5))
    by_length = sorted(range(10), key=lambda index: N_FRAMES[index])
    pairs = {frozenset(by_length[at : at + 2]) for at in range(0, 10, 2)}
    seen = []
    for episode in range(60):
        drawn = sampler.draw_many(np.linspace(0, 0.999, 50), np.full(50, episode))
        seen.append(frozenset(drawn.tolist()))
        assert seen[-1] in pairs
    for lap in range(0, 60, 5):
        assert set(seen[lap : lap + 5]) == pairs, "every bucket once before any comes again"
    assert len({tuple(seen[lap : lap + 5]) for lap in range(0, 60, 5)}) > 6, "in any order"


def test_environments_play_one_bucket_at_a_time(tiny_task: AnimationTask) -> None:
    """Also where they were seeded differently, and go on by themselves."""
    env = SpeechAnimationVectorEnv(
        16, task=tiny_task, reward=Zero(), metrics=False, sampling=Sampling(n_buckets=4)
    )
    spreads = []
    for turn in range(12):
        obs, _ = env.reset(seed=3 if turn == 0 else None)
        spreads.append(np.ptp(tiny_task.lengths[obs["utterance"][:, 0]]))
    assert max(spreads) <= 12, "of lengths from 20 to 48"
    assert min(spreads) <= 4


@pytest.mark.parametrize("n_buckets", [1, 3])
def test_one_utterance_always_comes(n_buckets: int) -> None:
    """Overfitting one utterance is the first thing that a new algorithm is tried on."""
    for sampling, utterances in (
        (Sampling(n_buckets=n_buckets), np.array([7])),
        (Sampling({"id-7": 0.3}, n_buckets=n_buckets), ALL),
    ):
        assert counts_of(sampler_of(sampling, utterances), n_draws=50)[7] == 50


def test_only_the_given_utterances_are_drawn() -> None:
    """Weights are of the split; the rest of the corpus must not come back through them."""
    counts = counts_of(sampler_of(Sampling(lambda _: 1.0), np.array([1, 4, 8])))
    assert np.flatnonzero(counts).tolist() == [1, 4, 8]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"id-0": np.nan}, "`weights` must be finite and at least 0, got nan for 'id-0'"),
        ({"id-0": 1, "id-3": np.inf}, "must be finite and at least 0, got inf for 'id-3'"),
        ({"id-3": -1e-9, "id-0": 1}, "must be finite and at least 0, got -1e-09 for 'id-3'"),
        (lambda record: -record.n_frames, "must be finite and at least 0, got -12.0 for 'id-1'"),
        ({"id-0": 0.0}, "`weights` must be above 0 for at least one utterance, got none"),
        ({}, "`weights` must be above 0 for at least one utterance, got none"),
        (lambda _: 0, "`weights` must be above 0 for at least one utterance, got none"),
        ({"id-0": 1, "id-99": 1, "eve": 0}, "(such as 'id-1'), got eve, id-99"),
        ({3: 1.0}, "`weights` must be None, ids with weights, or a function of a record, got {3"),
        ({"id-0": None}, "`weights` must be finite and at least 0, got nan for 'id-0'"),
        (lambda _: None, "`weights` must be finite and at least 0, got nan for 'id-1'"),
        ({"id-0": "much"}, "`weights` must be numbers, got could not convert"),
        ("uniform", "`weights` must be None, ids with weights, or a function of a record"),
        ([1.0] * 10, "`weights` must be None, ids with weights, or a function of a record"),
    ],
)
def test_bad_weights_are_rejected(weights: Any, message: str) -> None:
    """A misspelt id would be left out of training without a word."""
    with pytest.raises(InputError, match=re.escape(message)):
        sampler_of(Sampling(weights))


def test_weights_must_be_of_the_split(tiny_task: AnimationTask) -> None:
    """An utterance of the test split, or one that is too long, would never come."""
    for weights, max_duration_s in (({"dora-10": 1.0}, None), ({"ben-04": 1.0}, 1.4)):
        with pytest.raises(InputError, match=re.escape("`weights` must name utterances of the")):
            SpeechAnimationEnv(
                task=tiny_task,
                reward=Zero(),
                sampling=Sampling(weights),
                max_duration_s=max_duration_s,
            )


@pytest.mark.parametrize(
    "n_buckets",
    [
        0,
        -3,
        0.5,
        2.5,
        np.nan,
        True,
        "3",
        None,
    ],
)
def test_bad_numbers_of_buckets_are_rejected(n_buckets: Any) -> None:
    """Half a bucket fails only at the first draw, inside `divmod`."""
    with pytest.raises(InputError, match=re.escape("`n_buckets` must be ")):
        Sampling(n_buckets=n_buckets)


@pytest.mark.parametrize(
    "sampling",
    [value for value in ("uniform", {"anna-00": 1.0})],
)
def test_what_is_no_sampling_is_rejected(tiny_task: AnimationTask, sampling: Any) -> None:
    """Weights alone are what most people will try first."""
    with pytest.raises(InputError, match=re.escape("`sampling` must be ")):
        SpeechAnimationEnv(task=tiny_task, reward=Zero(), sampling=sampling)

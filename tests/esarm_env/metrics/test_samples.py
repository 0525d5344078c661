"""Several animations of one utterance: diversity, mean and best."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import Head, index_of, load_head
from esarm_env.metrics import (
    Variant,
    best_of_errors,
    diversity,
    diversity_of_meshes,
    energy_quantity,
    energy_score,
    error_of_mean,
    mean_of_errors,
    sample_errors,
    samples_quantity,
    vertex_error,
)


@pytest.fixture
def jaws() -> np.ndarray:
    """Return three samples of one frame, the jaw open by 0, 0.5 and 1."""
    samples = np.zeros((3, 1, 52), np.float32)
    samples[:, 0, index_of("jawOpen")] = [0, 0.5, 1]
    return samples


def test_errors_of_samples_are_the_hand_computed_ones(toy: Head, jaws: np.ndarray) -> None:
    """The truth is shut; a full jaw is 5 mm at the worst lip vertex, 4.5 in the mean.

    The mean sample is half open: 2.5 mm, nearer than a random sample only if faces average out.
    """
    target = np.zeros((1, 52))
    errors = sample_errors(jaws, target, head=toy)
    np.testing.assert_allclose(errors, [[0, 2.5, 5]])
    np.testing.assert_allclose(mean_of_errors(errors), [2.5])
    np.testing.assert_allclose(best_of_errors(errors), [0])
    np.testing.assert_allclose(error_of_mean(jaws, target, head=toy), [2.5])
    mean = Variant("lips", "mean")
    np.testing.assert_allclose(
        sample_errors(jaws, target, head=toy, variant=mean), [[0, 2.25, 4.5]]
    )
    np.testing.assert_allclose(error_of_mean(jaws, target, head=toy, variant=mean), [2.25])


def test_an_energy_score_is_the_hand_computed_one(toy: Head, jaws: np.ndarray) -> None:
    """Errors 0, 2.5 and 5; pairs 2.5, 5 and 2.5: 2.5 - 10 / 3 / 2.

    With each sample also paired with itself it would be 2.5 - 20 / 9 / 2.
    """
    scores = energy_score(jaws, np.zeros((1, 52)), head=toy)
    np.testing.assert_allclose(scores, [2.5 - 10 / 6])


@pytest.mark.parametrize("region", ["lips", "upper"])
def test_energy_scores_are_those_of_a_plain_loop(region: str) -> None:
    """Over utterances, samples and frames, from the vertices of the head."""
    head, rng = load_head(), np.random.default_rng(0)
    samples = rng.random((3, 4, 5, 52), dtype=np.float32)
    target = rng.random((3, 5, 52), dtype=np.float32)
    lengths = np.array([5, 1, 3])
    vertices = head.regions["lips"] if region == "lips" else head.upper

    def apart(first: np.ndarray, second: np.ndarray) -> float:
        frames = [
            np.linalg.norm(a - b, axis=1).max()
            for a, b in zip(
                head.apply(first)[:, vertices], head.apply(second)[:, vertices], strict=True
            )
        ]
        return float(np.mean(frames))

    expected = []
    for row, n in enumerate(lengths):
        errors = [apart(samples[row, k, :n], target[row, :n]) for k in range(4)]
        pairs = [
            apart(samples[row, i, :n], samples[row, j, :n])
            for i in range(4)
            for j in range(4)
            if i != j
        ]
        expected.append(np.mean(errors) - np.mean(pairs) / 2)
    found = energy_score(samples, target, head=head, variant=Variant(region), lengths=lengths)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_sharpening_gains_no_energy_score(toy: Head) -> None:
    """Samples drawn towards their mean have less error, and the score must not fall with it."""
    rng = np.random.default_rng(0)
    truth = np.zeros((400, 1, 52), np.float32)
    truth[..., index_of("jawOpen")] = rng.random((400, 1))
    drawn = np.zeros((400, 8, 1, 52), np.float32)
    drawn[..., index_of("jawOpen")] = rng.random((400, 8, 1))
    sharp = drawn.copy()
    sharp[..., index_of("jawOpen")] = 0.5 + 0.3 * (drawn[..., index_of("jawOpen")] - 0.5)
    errors = [sample_errors(each, truth, head=toy).mean() for each in (drawn, sharp)]
    scores = [energy_score(each, truth, head=toy).mean() for each in (drawn, sharp)]
    assert errors[1] < errors[0] - 0.2
    assert scores[1] > scores[0] + 0.1


def test_an_energy_score_needs_two_samples_and_a_plain_distance(toy: Head) -> None:
    """One sample has no pairs; with squares only the mean of the samples would count."""
    with pytest.raises(InputError, match=re.escape("at least 2 of each utterance, got 1")):
        energy_score(np.zeros((1, 3, 52)), np.zeros((3, 52)), head=toy)
    with pytest.raises(InputError, match=re.escape("`variant` must have power 1 in an energy sco")):
        energy_score(
            np.zeros((2, 3, 52)), np.zeros((3, 52)), head=toy, variant=Variant("lips", power=2)
        )


def test_an_energy_score_names_its_samples() -> None:
    """Eight samples and two estimate one figure with other noise."""
    label = energy_quantity(Variant("upper"), n_samples=8).label
    assert label == (
        "EVE energy score (mean error of 8 samples minus half their mean distance, mean over "
        "frames of max over eye and forehead vertices, L2, mm)"
    )


def test_errors_of_batches_are_those_of_each_sample() -> None:
    """Samples and utterances are both rows; mixed up, the shape would still be right."""
    head = load_head()
    rng = np.random.default_rng(0)
    samples = rng.random((3, 4, 5, 52), dtype=np.float32)
    target = rng.random((3, 5, 52), dtype=np.float32)
    lengths, captured = np.array([5, 1, 3]), rng.random(52) < 0.8
    known: dict[str, Any] = {"head": head, "captured": captured}
    errors = sample_errors(samples, target, lengths=lengths, **known)
    of_mean = error_of_mean(samples, target, lengths=lengths, **known)
    for b, n in enumerate(lengths):
        truth = target[b, :n]
        for k in range(4):
            alone = vertex_error(samples[b, k, :n], truth, region="lips", **known)
            np.testing.assert_allclose(errors[b, k], alone[0], rtol=1e-5)
        alone = vertex_error(samples[b, :, :n].mean(axis=0), truth, region="lips", **known)
        np.testing.assert_allclose(of_mean[b], alone[0], rtol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_best_of_fewer_is_the_mean_over_all_subsets(k: int) -> None:
    """The first k alone would depend on their order."""
    errors = np.random.default_rng(0).random((6, 5))
    subsets = list(itertools.combinations(range(5), k))
    expected = np.mean([errors[:, subset].min(axis=1) for subset in subsets], axis=0)
    np.testing.assert_allclose(best_of_errors(errors, k=k), expected)


def test_the_best_of_an_unknown_error_is_unknown() -> None:
    """A region nobody captured has nan errors; the least of them is no 0."""
    assert np.isnan(best_of_errors(np.full((2, 3), np.nan))).tolist() == [True, True]


def test_diversity_is_the_hand_computed_one(toy: Head, jaws: np.ndarray) -> None:
    """Pairs differ by 0.5, 0.5 and 1 jaw: 2/3 on average, times 4 and 5 mm of 5 vertices."""
    np.testing.assert_allclose(diversity(jaws, head=toy), [2 / 3 * 9 / 5], rtol=1e-6)
    np.testing.assert_allclose(diversity(jaws, head=toy, region="lips"), [2 / 3 * 4.5], rtol=1e-6)
    meshes = toy.apply(jaws)[None]
    known: dict[str, Any] = {"vertices": np.arange(5), "mesh_unit": "mm"}
    np.testing.assert_allclose(diversity_of_meshes(meshes, **known), [1.2], rtol=1e-5)
    in_metres = diversity_of_meshes(meshes, unit="m", **known)
    np.testing.assert_allclose(in_metres, [1.2e-3], rtol=1e-5)


def test_diversity_masks_padding_and_channels(toy: Head, jaws: np.ndarray) -> None:
    """Padding is equal in all samples and would dilute what differs."""
    samples = np.pad(np.stack([jaws, jaws]), ((0, 0), (0, 0), (0, 3), (0, 0)))
    result = diversity(samples, head=toy, region="lips", lengths=[1, 4])
    np.testing.assert_allclose(result, [3.0, 0.75], rtol=1e-6)
    without_jaw = np.arange(52) != index_of("jawOpen")
    assert diversity(jaws, head=toy, region="all", captured=without_jaw).tolist() == [0.0]


def test_random_pairs_are_disjoint_and_right_on_average(toy: Head) -> None:
    """ProbTalk3D's 10 samples make 5 pairs; a sample in two of them is another statistic.

    With samples at 0, 1, 2, 4, ... no two matchings have the same mean by chance.
    """
    samples = np.zeros((4, 1, 52), np.float32)
    samples[:, 0, index_of("jawOpen")] = [0, 1, 2, 4]
    exact = diversity(samples, head=toy, region="lips")[0]
    rng = np.random.default_rng(0)
    drawn = [diversity(samples, head=toy, region="lips", rng=rng)[0] for _ in range(300)]
    # The three matchings: 1 + 2, 2 + 3 and 4 + 1, halved, times 4.5 mm.
    assert set(np.round(drawn, 3)) == {6.75, 11.25}
    assert np.mean(drawn) == pytest.approx(exact, rel=0.03)
    again = diversity(samples, head=toy, region="lips", rng=np.random.default_rng(0))
    assert again[0] == drawn[0]


def test_the_quantity_tells_what_was_done_with_the_samples() -> None:
    """Best of 10 beside a single sample is no comparison; the column must say so."""
    label = samples_quantity(Variant("lips"), reduction="error of mean", n_samples=10).label
    assert label == (
        "LVE (error of mean of 10 samples, mean over frames of max over lip vertices, L2, mm)"
    )
    message = "`reduction` must be one of ('mean', 'best', 'error of mean'), got 'least'"
    with pytest.raises(InputError, match=re.escape(message)):
        samples_quantity(Variant("lips"), reduction="least", n_samples=10)


@pytest.mark.parametrize("k", [0, 4])
def test_the_best_of_more_than_there_are_is_refused(k: int) -> None:
    """The table would say best of 4 and show best of 3."""
    with pytest.raises(InputError, match=re.escape(f"`k` must be in 1..3, got {k}")):
        best_of_errors(np.zeros((2, 3)), k=k)


def test_errors_without_an_axis_of_samples_are_refused() -> None:
    """The mean of (B,) would be one figure for all utterances."""
    message = "`errors` must have shape (B, A) with A at least 1, got (3,)"
    with pytest.raises(InputError, match=re.escape(message)):
        mean_of_errors(np.zeros(3))


def test_samples_that_do_not_fit_are_refused(toy: Head) -> None:
    """One animation given in place of several has an axis too few."""
    rule = "`samples` must have shape (A, T, 52) or (B, A, T, 52) with A and T at least 1"
    for samples in (np.zeros((4, 52)), np.zeros((0, 4, 52)), np.zeros((2, 3, 0, 52))):
        with pytest.raises(InputError, match=re.escape(f"{rule}, got {samples.shape}")):
            diversity(samples, head=toy)
    with pytest.raises(InputError, match="must hold at least 2 of each utterance, got 1"):
        diversity(np.zeros((1, 4, 52)), head=toy)
    with pytest.raises(InputError, match=re.escape("(B, A, T, V, 3), got (2, 3, 4, 3)")):
        diversity_of_meshes(np.zeros((2, 3, 4, 3)), vertices=[0], mesh_unit="mm")
    with pytest.raises(InputError, match="must have one shape"):
        sample_errors(np.zeros((2, 4, 52)), np.zeros((5, 52)), head=toy)

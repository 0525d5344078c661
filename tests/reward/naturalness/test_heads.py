"""Two heads as one reward: their sum, each by itself, and each as a term."""

from __future__ import annotations

import dataclasses
import re
import shutil

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.rewards import resolve_reward
from reward.consensus import ConsensusConfig, ConsensusModel
from reward.naturalness import NaturalnessModel, TwoHeadedModel
from reward.plugins.heads import (
    naturalness_beside,
    open_expected_error,
    open_naturalness,
    scores_by_head,
)
from reward.plugins.learned import LearnedReward, open_learned


@pytest.fixture
def sizes(tiny_task):
    """Of chunks and conditions of the tiny task."""
    step = tiny_task.tokenizer.frames_per_chunk
    return {
        "audio_dim": tiny_task.features.dim * step,
        "condition_dim": tiny_task.condition_dim,
        "frames": step,
    }


@pytest.fixture
def expected_error(sizes):
    """An untrained ensemble of two."""
    config = ConsensusConfig(
        members=2, disagreement=0.5, n_layers=1, n_heads=2, width=8, imagined=2, rank=3, hidden=8
    )
    return ConsensusModel(config, **sizes).eval()


@pytest.fixture
def run(model, expected_error, tmp_path):
    """A folder with the reward stage alone, both heads."""
    (tmp_path / "run" / "reward").mkdir(parents=True)
    expected_error.save(tmp_path / "run" / "reward" / "reward.safetensors")
    model.save(tmp_path / "run" / "reward" / "naturalness.safetensors")
    return tmp_path / "run"


@pytest.fixture
def written(demonstrations):
    return demonstrations.trajectories


def test_the_sum_is_the_default_and_each_head_a_reward(tiny_task, run, written, model):
    """A sum whose heads cannot be had apart hides what one of them lost."""
    both = open_learned(tiny_task, run)
    first, second = open_expected_error(tiny_task, run), open_naturalness(tiny_task, run)
    np.testing.assert_allclose(
        both.score(written),
        first.score(written) + model.config.weight * second.score(written),
        atol=1e-5,
    )
    assert both.streams == ("mouth", "upper")
    streams = both.score_streams(written)
    for name, scores in streams.items():
        apart = first.score_streams(written)[name]
        apart = apart + model.config.weight * second.score_streams(written)[name]
        np.testing.assert_allclose(scores, apart, atol=1e-5)


def test_each_head_is_a_term_of_the_resolved_reward(tiny_task, run, written):
    """`info["rewards"]` and normalisation by term go by the names of terms."""
    resolved = resolve_reward("learned", tiny_task, run)
    assert resolved.weights == {"expected-error": 1.0, "naturalness": 2.0}
    assert resolved.name == "expected-error + 2 * naturalness"
    scores = resolved.score_terms(written)
    np.testing.assert_allclose(scores.total, open_learned(tiny_task, run).score(written), atol=1e-5)
    named = resolve_reward({"expected-error": 1, "naturalness": 0.3}, tiny_task, run)
    np.testing.assert_allclose(
        named.score(written),
        scores.terms["expected-error"] + 0.3 * scores.terms["naturalness"],
        atol=1e-5,
    )


def test_weights_of_a_sum_and_of_its_heads_multiply_and_add_up(tiny_task, run):
    """Half of the sum with some naturalness more is one term each, not a clash of names."""
    resolved = resolve_reward({"learned": 0.5, "zero": 1, "naturalness": 0.25}, tiny_task, run)
    assert resolved.weights == {"expected-error": 0.5, "naturalness": 1.25, "zero": 1.0}
    elsewhere = resolve_reward(f"learned:{run}", tiny_task, None)
    assert elsewhere.terms == (f"expected-error:{run}", f"naturalness:{run}")
    given = resolve_reward(open_learned(tiny_task, run), tiny_task, None)
    assert given.terms == ("expected-error", "naturalness")


def test_a_weights_file_has_the_head_beside_it(tiny_task, run, written):
    """`learned:RUN` and `learned:RUN/reward/reward.safetensors` are one reward."""
    by_file = open_learned(tiny_task, None, str(run / "reward" / "reward.safetensors"))
    np.testing.assert_array_equal(
        by_file.score(written), open_learned(tiny_task, run).score(written)
    )
    shutil.copy(run / "reward" / "reward.safetensors", run / "reward" / "ceiling.safetensors")
    ceiling = run / "reward" / "ceiling.safetensors"
    assert naturalness_beside(ceiling, tiny_task) is None, "it has no part in another model"
    assert type(open_learned(tiny_task, None, str(ceiling))) is LearnedReward


def test_an_old_run_has_one_head_and_says_so(tiny_task, run, written):
    """Saved models go on scoring what they scored; who asks for the second head is told."""
    before = open_expected_error(tiny_task, run).score(written)
    (run / "reward" / "naturalness.safetensors").unlink()
    resolved = resolve_reward("learned", tiny_task, run)
    assert resolved.terms == ("learned",)
    np.testing.assert_array_equal(resolved.score(written), before)
    message = (
        f"{run}: must hold a naturalness model (naturalness.safetensors) for the reward "
        "`naturalness`, got a reward model of expected errors alone"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward("naturalness", tiny_task, run)
    for name in ("naturalness", "expected-error"):
        with pytest.raises(InputError, match=re.escape(f"for the reward `{name}`, got none")):
            resolve_reward(name, tiny_task, None)


def test_a_head_of_other_chunks_is_refused(tiny_task, run, expected_error, model, sizes):
    """Its scores would be of other faces than those that are shown."""
    other = NaturalnessModel(model.config, **{**sizes, "audio_dim": 2 * sizes["audio_dim"]})
    other.save(run / "reward" / "naturalness.safetensors")
    with pytest.raises(InputError, match=re.escape("must hold a naturalness model for the task's")):
        open_learned(tiny_task, run)
    with pytest.raises(InputError, match=re.escape("both heads of a reward model must read the")):
        TwoHeadedModel(expected_error, other, 1.0)


def test_an_alarm_is_told_both_heads_weighted(tiny_task, run, written):
    """In the sum alone, one head may fall as long as the other rises more."""
    resolved = resolve_reward({"learned": 1.0, "zero": 1.0}, tiny_task, run)
    by_head = scores_by_head(resolved)
    assert by_head is not None
    heads = by_head(written)
    assert list(heads) == ["expected-error", "naturalness"]
    np.testing.assert_allclose(sum(heads.values()), resolved.score(written), atol=1e-5)
    assert scores_by_head(resolve_reward("expected-error", tiny_task, run)) is None
    watched = resolve_reward({"expected-error": 1, "naturalness": 0}, tiny_task, run)
    assert scores_by_head(watched) is None, "what is not paid for is climbed at no cost"


def test_the_weight_is_that_of_the_file(tiny_task, run, model, sizes):
    """A run keeps what it was trained with, whatever the default becomes."""
    config = dataclasses.replace(model.config, weight=0.125)
    NaturalnessModel(config, **sizes).save(run / "reward" / "naturalness.safetensors")
    assert resolve_reward("learned", tiny_task, run).weights["naturalness"] == 0.125


def test_chunks_of_the_sum_and_of_each_head_add_up(tiny_task, run, written):
    """Credit by chunk: the sum's chunks are its heads' chunks, and all add up to the score."""
    resolved = resolve_reward("learned", tiny_task, run)
    assert resolved.chunk_streams == ("mouth", "upper")
    chunks = resolved.score_chunks(written)  # checked against the score of each term
    np.testing.assert_allclose(chunks.sum(axis=(1, 2)), resolved.score(written), atol=1e-4)
    np.testing.assert_allclose(
        open_learned(tiny_task, run).score_chunks(written), chunks, atol=1e-4
    )
    alone = open_naturalness(tiny_task, run)
    np.testing.assert_allclose(
        alone.score_chunks(written).sum(axis=(1, 2)), alone.score(written), atol=1e-5
    )

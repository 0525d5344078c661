"""The mean of several reward models: numbers, one decoding, and what opens them."""

import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from reward.plugins.ensemble import EnsembleReward, open_ensemble
from reward.plugins.learned import LearnedReward, open_learned, open_model
from reward.ranking.network import RewardTransformer
from reward.ranking.settings import RewardConfig
from reward.scoring import score_with

SMALL = RewardConfig(n_layers=1, n_heads=2, width=16)


@pytest.fixture
def make_model(tiny_task):
    """Return a function: a model of the tiny task's chunks, by seed."""

    def make(seed, **sizes):
        torch.manual_seed(seed)
        step = tiny_task.tokenizer.frames_per_chunk
        known = {"audio_dim": tiny_task.features.dim * step, "motion_dim": 52 * step}
        return RewardTransformer(SMALL, **(known | sizes)).eval()

    return make


@pytest.fixture
def runs(make_model, tmp_path):
    """Return two run folders and a weights file, each with a model of its own."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(folders):
        make_model(seed).save(folder / "reward" / "reward.safetensors")
    make_model(2).save(tmp_path / "three.safetensors")
    return [*folders, tmp_path / "three.safetensors"]


def test_the_score_is_the_mean_of_the_members(tiny_task, demonstrations, make_model):
    """Members are standardised, so that each counts alike."""
    models = [make_model(seed) for seed in range(3)]
    trajectories = demonstrations.trajectories
    reward = EnsembleReward(tiny_task, models, batch_size=5)
    alone = np.stack([LearnedReward(tiny_task, model).score(trajectories) for model in models])
    members = reward.score_members(trajectories)
    assert members.shape == (3, len(trajectories))
    assert members.dtype == reward.score(trajectories).dtype == np.float32
    np.testing.assert_allclose(members, alone, atol=1e-5)
    np.testing.assert_allclose(reward.score(trajectories), alone.mean(axis=0), atol=1e-5)
    assert len(reward) == 3
    assert reward.needs_ground_truth is False
    assert members.std(axis=0).min() > 0.01, "the members differ, or nothing was tested"


def test_the_motion_is_decoded_once_for_all_members(
    tiny_task, demonstrations, make_model, monkeypatch
):
    """Decoding is half of what one model costs."""
    calls = []
    decode = type(tiny_task.tokenizer).decode_batch

    def counted(self, tokens, lengths):
        calls.append(len(tokens))
        return decode(self, tokens, lengths)

    monkeypatch.setattr(type(tiny_task.tokenizer), "decode_batch", counted)
    EnsembleReward(tiny_task, [make_model(seed) for seed in range(4)]).score(
        demonstrations.trajectories
    )
    assert calls == [len(demonstrations)]


def test_an_ensemble_needs_a_member(tiny_task):
    """The mean of nothing is nan."""
    with pytest.raises(InputError, match="`models` must hold at least one reward model, got none"):
        EnsembleReward(tiny_task, [])


def test_members_are_run_folders_or_weights_files(tiny_task, demonstrations, runs):
    """In the order they are given in, so that `score_members` can be told apart."""
    trajectories = demonstrations.trajectories
    argument = ",".join(str(path) for path in runs)
    members = open_ensemble(tiny_task, None, argument).score_members(trajectories)
    for path, scores in zip(runs, members, strict=True):
        alone = open_learned(tiny_task, None, str(path)).score(trajectories)
        np.testing.assert_allclose(scores, alone, atol=1e-5)
    one = open_ensemble(tiny_task, runs[1], f" {runs[0]} ").score(trajectories)
    np.testing.assert_allclose(one, members[0], atol=1e-5)


@pytest.mark.parametrize("make", [",{0}", "{0},", "{0},,{1}", " ", "{0},{1},{0}", "{0},{0}/."])
def test_a_list_of_members_with_a_slip_is_refused(tiny_task, runs, make):
    """A member that counts twice makes the disagreement too small."""
    argument = make.format(*runs)
    message = (
        "`ensemble` must be followed by different run folders or weights files, RUN1,RUN2,..., "
        f"got {argument!r}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_ensemble(tiny_task, None, argument)


def test_the_learned_reward_may_be_another_runs(tiny_task, demonstrations, runs):
    """Transfer between rewards is an experiment, not a copy of files."""
    trajectories = demonstrations.trajectories
    own = open_learned(tiny_task, runs[0]).score(trajectories)
    other = open_learned(tiny_task, runs[0], str(runs[1])).score(trajectories)
    np.testing.assert_array_equal(
        own, open_learned(tiny_task, None, str(runs[0])).score(trajectories)
    )
    assert np.abs(own - other).max() > 0.01


def test_a_path_may_start_at_home(tiny_task, runs, monkeypatch):
    """No shell expands `~` behind a colon."""
    monkeypatch.setenv("HOME", str(runs[0].parent))
    assert open_model(runs[0].parent / "one", tiny_task) is not None
    assert open_ensemble(tiny_task, None, "~/one,~/three.safetensors").score is not None
    with pytest.raises(InputError, match="must be followed by different"):
        open_ensemble(tiny_task, None, f"~/one,{runs[0]}")


def test_a_member_without_a_model_is_refused(tiny_task, runs, tmp_path):
    """The message names the folder, not the ensemble."""
    (tmp_path / "empty").mkdir()
    rules = {
        f"{runs[0]},{tmp_path / 'empty'}": "must hold the stage `reward`, got none",
        f"{tmp_path / 'none'}": "must be a run folder, got none of that name",
    }
    for argument, rule in rules.items():
        missing = argument.split(",")[-1]
        message = f"{missing}: {rule}"
        with pytest.raises(InputError, match=re.escape(message)):
            open_ensemble(tiny_task, None, argument)
    message = f"{tmp_path / 'no.safetensors'}: must be a whole reward model file, got "
    with pytest.raises(InputError, match=re.escape(message)):
        open_learned(tiny_task, None, str(tmp_path / "no.safetensors"))


@pytest.mark.parametrize("sizes", [{"audio_dim": 6}, {"motion_dim": 104}])
def test_a_model_of_other_chunks_is_refused(tiny_task, make_model, tmp_path, sizes):
    """A run with other features would fail in the middle of the first score."""
    path = tmp_path / "other.safetensors"
    model = make_model(0, **sizes)
    model.save(path)
    step = tiny_task.tokenizer.frames_per_chunk
    message = (
        f"{path}: must hold a reward model for the task's chunks of "
        f"{tiny_task.features.dim * step} audio and {52 * step} motion values, "
        f"got one for {model.audio_dim} and {model.motion_dim}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_learned(tiny_task, None, str(path))


def test_no_motion_has_no_scores(tiny_task, make_model):
    """`(M, 0)`, so that means and sums behind it keep their shapes."""
    scores = score_with([make_model(0)], tiny_task, np.zeros(0, np.int64), motions=[])
    assert scores.shape == (1, 0)

"""The consensus model as a reward: one by one, by stream, from disk."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from reward.consensus import ConsensusConfig, ConsensusModel
from reward.consensus.network import load_consensus
from reward.plugins.ensemble import EnsembleReward
from reward.plugins.learned import LearnedReward, open_model
from reward.ranking.network import RewardTransformer
from reward.ranking.settings import RewardConfig


@pytest.fixture
def reward(tiny_task, model):
    return LearnedReward(tiny_task, model, batch_size=5)


def test_scoring_a_batch_equals_scoring_one_by_one(reward, demonstrations):
    """The environment scores single episodes and trainers whole batches: one reward, not two."""
    trajectories = demonstrations.trajectories
    together = reward.score(trajectories)
    alone = [reward.score(trajectories[row : row + 1])[0] for row in range(len(trajectories))]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.dtype == np.float32
    assert np.std(together) > 0.01


def test_streams_add_up_to_the_score(reward, demonstrations, tiny_task):
    """Trainers refuse rewards whose streams do not."""
    streams = reward.score_streams(demonstrations.trajectories)
    motions = tiny_task.decode_chunks(demonstrations.trajectories)
    of_motion = reward.score_motion_streams(demonstrations.utterance, motions)
    for name, scores in streams.items():
        np.testing.assert_allclose(of_motion[name], scores, atol=1e-6)
    assert list(streams) == ["mouth", "upper"]
    total = streams["mouth"] + streams["upper"]
    np.testing.assert_allclose(total, reward.score(demonstrations.trajectories), atol=1e-5)


@pytest.fixture
def standardised(model, tiny_task, demonstrations):
    """Return the model with offsets, scales and recognised ground truth, as training leaves it."""
    torch.manual_seed(2)
    model.spread.copy_(torch.tensor([0.7, 1.9]))
    for member in model.members:  # near what is certain, where the margin has a slope
        member.to_natural[-1].bias.data.fill_(0.9)
    model.standardise(torch.randn(2, 30, 2) * 3 + 1)
    return model


@pytest.mark.parametrize(
    "settings", [{"disagreement": 0.5}, {"disagreement": 0.0}, {"combination": "minimum"}]
)
def test_chunks_add_up_to_the_score_and_its_streams(
    settings, standardised, tiny_task, demonstrations
):
    """Standardisation, margin, and how members are combined are all taken apart."""
    standardised.config = dataclasses.replace(standardised.config, **settings)
    reward = LearnedReward(tiny_task, standardised, batch_size=5)
    trajectories = demonstrations.trajectories
    chunks = reward.score_chunks(trajectories)
    assert reward.chunk_streams == ("mouth", "upper")
    n_chunks = trajectories.lengths // tiny_task.tokens_per_chunk
    assert chunks.shape == (len(trajectories), n_chunks.max(), 2)
    assert (chunks[np.arange(n_chunks.max()) >= n_chunks[:, None]] == 0).all()
    np.testing.assert_allclose(chunks.sum((1, 2)), reward.score(trajectories), rtol=1e-4, atol=1e-4)
    for name, scores in reward.score_streams(trajectories).items():
        found = chunks[..., reward.chunk_streams.index(name)].sum(1)
        np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-4)
    assert chunks[n_chunks == n_chunks.max()].std(axis=1).min() > 1e-3, "chunks differ"
    utterances, motions = trajectories.utterance, tiny_task.decode_chunks(trajectories)
    condition = trajectories.condition
    of_motion = reward.score_motion_chunks(utterances, motions, condition=condition)
    np.testing.assert_array_equal(of_motion, chunks)


def test_a_chunk_is_paid_what_it_changes_in_the_score(standardised, tiny_task, demonstrations):
    """To first order, also through the members' spread and what is surely ground truth."""
    reward = LearnedReward(tiny_task, standardised)
    scores = torch.from_numpy(reward.score_members(demonstrations.trajectories))[..., None]
    scores = scores.double().repeat(1, 1, 2).requires_grad_()
    standardised.combine(scores).sum().backward()
    weights = standardised.member_weights(scores.detach())
    torch.testing.assert_close(weights, scores.grad)
    torch.testing.assert_close((weights * scores).sum(0), standardised.combine(scores))


def test_members_that_agree_have_no_spread_to_take_apart(model):
    """0 / 0 would stop the training."""
    scores = torch.full((2, 3, 2), 0.7)
    weights = model.member_weights(scores)
    torch.testing.assert_close((weights * scores).sum(0), model.combine(scores))


def test_the_margin_is_paid_where_the_recording_is_recognised(standardised):
    """A chunk that looks more like a recording than the others earns more of the margin."""
    torch.manual_seed(1)
    audio, motion = torch.randn(1, 4, standardised.audio_dim), torch.rand(1, 1, 4, 208)
    condition, n = torch.zeros(1, standardised.condition_dim), torch.tensor([3])
    judged = standardised.judge(audio, condition, motion, n)[0]
    told = torch.tensor([[[5.0, 3.0, 7.0, 99.0]]])
    judged = judged._replace(
        errors=torch.zeros_like(judged.errors), recorded=torch.full((1, 1), 5.0),
        recorded_chunks=told,
    )  # fmt: skip
    chunks = standardised.raw_chunks(judged, n)[0, 0, :, 0]
    certain = torch.tensor(1.0).sigmoid()
    expected = standardised.config.margin / 2 * certain / 3
    torch.testing.assert_close(chunks[0], expected)
    torch.testing.assert_close(chunks[2] - chunks[1], expected * (1 - certain) * 4)
    assert chunks[3] == 0
    torch.testing.assert_close(chunks.sum(), standardised.raw(judged, n)[0, 0, 0])


def test_each_stream_answers_for_its_own_region(reward, demonstrations, tiny_task):
    """Brows must not pay for lips: the errors of one region do not see the other's channels."""
    trajectories = demonstrations.trajectories[:4]
    motions = tiny_task.decode_chunks(trajectories)
    network = reward._model
    for member in network.members:  # the recognition of ground truth sees the whole face
        member.to_natural[-1].weight.data.zero_()
    names = ("mouth", "upper")
    errors = network.members[0].streams
    lips = np.zeros((52, 4), np.float32)
    lips[10:20] = 1
    errors[0].directions.data.copy_(torch.from_numpy(lips))
    network.members[1].streams[0].directions.data.copy_(torch.from_numpy(lips))
    changed = [motion.copy() for motion in motions]
    for motion in changed:
        motion[:, 30:40] = 0.9
    before, after = (
        dict(zip(names, reward._combined(trajectories.utterance, m, None).T, strict=True))
        for m in (motions, changed)
    )
    np.testing.assert_allclose(before["mouth"], after["mouth"], atol=1e-6)
    assert np.abs(before["upper"] - after["upper"]).min() > 1e-4


def test_the_condition_that_was_asked_for_is_judged(reward, demonstrations, tiny_task):
    """Whoever asks for anger must not be paid for the joy of the recording."""
    trajectories = demonstrations.trajectories[:3]
    motions = tiny_task.decode_chunks(trajectories)
    recorded = reward.score_motion(trajectories.utterance, motions)
    np.testing.assert_allclose(recorded, reward.score(trajectories), atol=1e-5)
    other = np.roll(trajectories.condition[:, :9], 1, axis=1)
    asked = np.concatenate([other, trajectories.condition[:, 9:]], axis=1)
    scores = reward.score_motion(trajectories.utterance, motions, condition=asked)
    assert np.abs(scores - recorded).min() > 1e-4


def test_speech_is_heard_one_chunk_ahead_and_no_further(model):
    """Causal attention over windows: a score of a beginning must not depend on the end."""
    torch.manual_seed(1)
    audio, motion = torch.randn(2, 8, model.audio_dim), torch.rand(2, 1, 8, model.motion_dim)
    condition, n = torch.zeros(2, model.condition_dim), torch.full((2,), 8)

    def errors(heard):
        with torch.no_grad():
            return model.judge(heard, condition, motion, n)[0].errors[:, 0]  # (2, C, S)

    changed = audio.clone()
    changed[:, 5] += 3
    before, after = errors(audio), errors(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_members_disagree_and_the_spread_is_taken_off(reward, demonstrations):
    """What members do not agree on is what a policy would exploit."""
    members = reward.score_members(demonstrations.trajectories)
    assert members.shape == (2, len(demonstrations))
    assert members.std(axis=0).min() > 1e-4
    assert (reward.score(demonstrations.trajectories) < members.mean(axis=0)).all()


def test_only_certain_ground_truth_earns_the_margin(model):
    """Half-hearted doubts about a policy's samples would drown what their errors say."""
    torch.manual_seed(0)
    audio, motion = torch.randn(1, 3, model.audio_dim), torch.rand(1, 2, 3, model.motion_dim)
    n = torch.tensor([3])
    judgement = model.judge(audio, torch.zeros(1, model.condition_dim), motion, n)[0]

    def earned(log_odds):
        given = judgement._replace(recorded=torch.full((1, 2), float(log_odds)))
        return (model.raw(given, n) - model.raw(judgement._replace(
            recorded=torch.full((1, 2), -100.0)), n)).sum(-1)  # fmt: skip

    torch.testing.assert_close(earned(100), torch.full((1, 2), model.config.margin))
    assert earned(0).max() < 0.02 * model.config.margin


def test_saving_and_loading_gives_equal_scores(reward, model, tiny_task, demonstrations, tmp_path):
    """Standardisation and settings are part of the model."""
    model.standardise(torch.randn(2, 30, 2) * 3 + 1)
    path = tmp_path / "reward.safetensors"
    model.save(path)
    again = LearnedReward(tiny_task, open_model(path, tiny_task))
    trajectories = demonstrations.trajectories
    np.testing.assert_allclose(again.score(trajectories), reward.score(trajectories), atol=1e-6)
    assert load_consensus(path).config == model.config


def test_a_damaged_or_foreign_file_is_refused(model, tiny_task, tmp_path):
    """Half a file must end in one clear line, not in a stack trace."""
    path = tmp_path / "reward.safetensors"
    model.save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=re.escape("must be a whole reward model")):
        open_model(path, tiny_task)
    with pytest.raises(InputError, match=re.escape("must be a whole consensus reward model")):
        load_consensus(path)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"audio_dim": 8}, "got one for 8 and 208; it was trained with other features or chunks"),
        ({"condition_dim": 5}, "columns, got one for 5; it was trained on other speakers"),
    ],
)
def test_a_model_of_another_task_is_refused(sizes, message, model, tiny_task, tmp_path):
    """Scores of misread inputs look like scores."""
    known = {
        "audio_dim": model.audio_dim,
        "condition_dim": model.condition_dim,
        "frames": model.frames,
    }
    other = ConsensusModel(model.config, **(known | sizes))
    path = tmp_path / "other.safetensors"
    other.save(path)
    with pytest.raises(InputError, match=re.escape(message)):
        open_model(path, tiny_task)


def test_the_most_doubtful_member_can_decide(model):
    """The minimum is taken by stream: one member may doubt the lips, another the brows."""
    model.config = dataclasses.replace(model.config, combination="minimum")
    scores = torch.tensor([[[1.0, 5.0]], [[2.0, 3.0]]])  # (members, B, S)
    assert model.combine(scores).tolist() == [[1.0, 3.0]]


def test_another_combination_is_refused():
    """A typing mistake must not train the default for an hour."""
    rule = "`consensus.combination` must be one of mean, minimum, got 'median'"
    with pytest.raises(InputError, match=re.escape(rule)):
        ConsensusModel(
            ConsensusConfig(combination="median"), audio_dim=4, condition_dim=3, frames=4
        )


def test_an_ensemble_of_none_is_refused():
    """It would score nothing."""
    with pytest.raises(ValueError, match=re.escape("`config.members` must be at least 1, got 0")):
        ConsensusModel(ConsensusConfig(members=0), audio_dim=4, condition_dim=3, frames=4)


def test_ensembles_of_runs_give_streams_where_all_members_do(model, tiny_task, demonstrations):
    """Trained on other seeds, rewards of several runs are used together by PPO."""
    trajectories = demonstrations.trajectories
    step = tiny_task.tokenizer.frames_per_chunk
    sizes = {"audio_dim": tiny_task.features.dim * step, "motion_dim": 52 * step}
    plain = RewardTransformer(RewardConfig(n_layers=1, n_heads=2, width=16), **sizes).eval()
    both = EnsembleReward(tiny_task, [model, model])
    streams = both.score_streams(trajectories)
    np.testing.assert_allclose(sum(streams.values()), both.score(trajectories), atol=1e-5)
    assert both.score_members(trajectories).shape == (4, len(trajectories))
    assert both.streams == ("mouth", "upper")
    for members in ([model, plain], [plain]):
        without = EnsembleReward(tiny_task, members)
        assert without.streams == ()
        with pytest.raises(ValueError, match="the models do not all score the same streams"):
            without.score_streams(trajectories)

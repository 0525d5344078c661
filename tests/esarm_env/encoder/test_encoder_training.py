"""Training the speech encoder: it learns, repeats itself, resumes, and pulls emotion apart."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.audio.store import FeatureStore
from esarm_env.core.types import Corpus
from esarm_env.encoder.config import EncoderConfig
from esarm_env.encoder.data import MotionFile, SpeechData
from esarm_env.encoder.losses import VertexLoss
from esarm_env.encoder.parallel import draw_pairs, warp
from esarm_env.encoder.training import EncoderTrainer
from esarm_env.face import load_head
from esarm_env.task.animation_task import AnimationTask
from train.stages.encoder import speech_data

CONFIG = EncoderConfig(
    content_dim=8, emotion_dim=4, width=32, n_layers=1, n_heads=2, epochs=6, batch_utterances=4,
    learning_rate=3e-3, dropout=0.0, patience=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tiny_task: AnimationTask, tmp_path_factory: pytest.TempPathFactory) -> SpeechData:
    """Return the tiny corpus as an encoder learns from it; all utterances of a speaker parallel."""
    found = speech_data(tiny_task, tmp_path_factory.mktemp("motion"))
    speakers: dict[str, list[int]] = {}
    for index, record in enumerate(tiny_task.corpus.records):
        speakers.setdefault(record.speaker, []).append(index)
    return replace(found, groups=[np.array(rows) for rows in speakers.values()])


def make_trainer(data: SpeechData, corpus: Corpus, **changes: object) -> EncoderTrainer:
    """Return a trainer on the tiny corpus."""
    return EncoderTrainer(
        data,
        load_head(),
        train=corpus.split("train"),
        validation=corpus.split("validation"),
        config=replace(CONFIG, **changes),
        seed=3,
    )


def weights_of(trainer: EncoderTrainer) -> dict[str, np.ndarray]:
    """Return all weights of a trainer's encoder."""
    return {name: value.numpy().copy() for name, value in trainer.encoder.state_dict().items()}


def test_the_regressor_learns(data: SpeechData, tiny_corpus: Corpus) -> None:
    """It starts at the mean face and is nearer to the recordings after six epochs."""
    trainer = make_trainer(data, tiny_corpus, epochs=12, patience=12)
    rows = [trainer.advance() for _ in range(trainer.n_total)]
    assert rows[-1]["train_loss"] < 0.7 * rows[0]["train_loss"]
    assert {"train_cross_loss", "train_emotion_loss", "train_adversary_loss"} <= set(rows[0])
    assert rows[-1]["train_emotion_loss"] < rows[0]["train_emotion_loss"]


def test_streams_have_unit_spread_over_the_training_utterances(
    data: SpeechData, tiny_corpus: Corpus
) -> None:
    """A policy's first layers expect it, and features are clipped at 8."""
    trainer = make_trainer(data, tiny_corpus, hide_emotion=False)
    trainer.advance()
    encoder = trainer.finish()
    heard = [encoder.encode(data.features[int(i)]) for i in tiny_corpus.split("train")]
    frames = np.concatenate(heard)[:, : encoder.n_streams]
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-3)
    assert ((frames.std(0) > 0.5) & (frames.std(0) < 1.01)).all()


@pytest.mark.parametrize("prosody", [False, True])
def test_an_interruption_changes_no_weight(
    data: SpeechData, tiny_corpus: Corpus, *, prosody: bool
) -> None:
    """Resumed from a checkpoint as the run writes it, the rest is the same to the last bit."""
    data = replace(data, prosody=prosody)
    whole = make_trainer(data, tiny_corpus)
    for _ in range(3):
        whole.advance()
    first = make_trainer(data, tiny_corpus)
    first.advance()
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = make_trainer(data, tiny_corpus)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    torch.rand(7)  # what others draw in between does not count
    for _ in range(2):
        second.advance()
    for name, value in weights_of(whole).items():
        np.testing.assert_array_equal(weights_of(second)[name], value, err_msg=name)


@pytest.mark.parametrize("part", ["encoder", "adversary", "best"])
def test_a_state_with_nan_for_weights_is_refused(
    data: SpeechData, tiny_corpus: Corpus, part: str
) -> None:
    """It would train on to the end, and every policy would hear nothing."""
    state = make_trainer(data, tiny_corpus).state_dict()
    name = next(iter(state[part]))
    broken = state[part] | {name: torch.full_like(state[part][name], torch.nan)}
    message = f"state of a training: `{part}.{name}` must be finite, got 'NaN or infinity'"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(data, tiny_corpus).load_state_dict(state | {part: broken})


def test_a_validation_loss_that_is_not_finite_stops_training(
    data: SpeechData, tiny_corpus: Corpus
) -> None:
    """It is below nothing: the first weights would be kept to the end."""
    rows = list(data.features)
    for index in tiny_corpus.split("validation").tolist():
        rows[index] = np.full_like(rows[index], np.nan)
    trainer = make_trainer(replace(data, features=rows, groups=[]), tiny_corpus)
    message = "loss must be finite, got nan in validation, epoch 1"
    with pytest.raises(ValueError, match=re.escape(message)):
        trainer.advance()


def test_voices_vary_only_in_training_and_where_it_is_asked_for(
    data: SpeechData, tiny_corpus: Corpus
) -> None:
    """Validation hears voices as they are, or no two epochs could be compared."""
    data, weights = replace(data, prosody=True), {}
    none_else: dict[str, object] = {"feature_noise": 0.0, "speaker_dropout": 0.0, "read_share": 0.0}
    for variety in (0.0, 1.0):
        trainer = make_trainer(data, tiny_corpus, voice_variety=variety, **none_else)
        assert trainer.encoder.shape.cut_voice_bar
        trainer.advance()
        assert trainer.validate() == trainer.validate()
        weights[variety] = weights_of(trainer)["hear_frames.weight"]
    assert np.abs(weights[0.0] - weights[1.0]).max() > 1e-5
    phones = make_trainer(replace(data, prosody=False), tiny_corpus, voice_variety=1.0)
    none = make_trainer(replace(data, prosody=False), tiny_corpus, voice_variety=0.0)
    assert phones.advance() == none.advance(), "there is no voice bar in other features"


def test_emotion_is_heard_from_the_voice_as_it_is(data: SpeechData, tiny_corpus: Corpus) -> None:
    """A voice without loudness or pitch says little of emotion: 52 % named became 25 %."""
    encoder = make_trainer(data, tiny_corpus).encoder.eval()
    features = torch.from_numpy(data.features[0])[None]
    inside = torch.ones(features.shape[:2], dtype=torch.bool)
    plain = encoder.streams(features, inside)
    other = encoder.streams(features, inside, spoken=0.5 * features)
    torch.testing.assert_close(other.emotion, plain.emotion)
    assert not torch.allclose(other.content, plain.content)


def test_training_stops_when_patience_is_spent(data: SpeechData, tiny_corpus: Corpus) -> None:
    """And the best epoch's weights are kept."""
    trainer = make_trainer(data, tiny_corpus, learning_rate=1e-9, patience=1)
    trainer.advance()
    best = {name: value.clone() for name, value in trainer.encoder.state_dict().items()}
    trainer._best_loss = -1.0  # nothing is better than that
    trainer.advance()
    assert trainer.n_total == trainer.n_done == 2
    kept = trainer.finish().state_dict()
    np.testing.assert_array_equal(kept["to_content.weight"], best["to_content.weight"])


def test_what_is_read_by_the_batch_is_what_would_lie_in_memory(
    data: SpeechData, tiny_task: AnimationTask, tiny_corpus: Corpus
) -> None:
    """Bit for bit, padding included: the same encoder comes of it."""
    rows = [3, 0, 7]
    batch = data.rows(rows)
    frames = [tiny_corpus[index].motion for index in rows]
    assert batch.inside.sum(1).tolist() == [len(motion) for motion in frames]
    for number, (index, motion) in enumerate(zip(rows, frames, strict=True)):
        n_frames = len(motion)
        assert data.length(index) == n_frames
        np.testing.assert_array_equal(batch.curves[number, :n_frames], motion)
        np.testing.assert_array_equal(batch.features[number, :n_frames], tiny_task.features[index])
        assert not batch.features[number, n_frames:].any()
        assert not batch.curves[number, n_frames:].any()
        assert not batch.inside[number, n_frames:].any()
    in_memory = replace(
        data,
        features=[tiny_task.features[index] for index in range(len(tiny_corpus))],
        curves=[tiny_corpus[index].motion for index in range(len(tiny_corpus))],
    )
    lazy, held = make_trainer(data, tiny_corpus), make_trainer(in_memory, tiny_corpus)
    assert lazy.advance() == held.advance()
    for name, value in weights_of(lazy).items():
        np.testing.assert_array_equal(weights_of(held)[name], value, err_msg=name)


def test_a_corpus_is_not_held_in_memory(data: SpeechData, tmp_path: Path) -> None:
    """With WavLM's features an hour of speech is half a gigabyte."""
    assert isinstance(data.features, FeatureStore)
    motions = np.random.default_rng(0).random((4, 3, 52), dtype=np.float32)
    kept = MotionFile(iter(motions), tmp_path)
    assert not list(tmp_path.iterdir())  # nothing is left of it, whatever ends the process
    for index, motion in enumerate(motions):
        np.testing.assert_array_equal(kept[index], motion)
    assert not kept[0].flags.owndata
    for index in (-1, 4):
        message = f"`index` must be in 0..3, got {index}"
        with pytest.raises(IndexError, match=re.escape(message)):
            kept[index]


def test_without_parallel_utterances_there_is_nothing_to_cross(
    data: SpeechData, tiny_corpus: Corpus
) -> None:
    """Corpora of recordings may have none; they train all the same."""
    row = make_trainer(replace(data, groups=[]), tiny_corpus).advance()
    assert "train_cross_loss" not in row
    assert np.isfinite(row["train_loss"])


def test_a_loss_that_is_not_finite_stops_training(data: SpeechData, tiny_corpus: Corpus) -> None:
    """Weights of NaN would be found hours later."""
    broken = [np.full_like(rows, np.nan) for rows in data.features]
    trainer = make_trainer(replace(data, features=broken, groups=[]), tiny_corpus)
    with pytest.raises(ValueError, match=re.escape("loss must be finite, got nan in epoch 1")):
        trainer.advance()


def test_every_utterance_is_in_a_pair(rng: np.random.Generator) -> None:
    """Parallel ones differ in emotion; the rest stands side by side."""
    emotions = ["happy", "sad", "happy", "happy", "sad", "angry", "sad"]
    groups = [np.array([0, 1, 2]), np.array([3, 4, 6])]
    pairs = draw_pairs(np.arange(6), groups, emotions, rng=rng)
    assert {index for pair in pairs for index in (pair.first, pair.second)} == set(range(6))
    parallel = [{pair.first, pair.second} for pair in pairs if pair.parallel]
    assert len(parallel) == 2
    assert {3, 4} in parallel  # 6 is no utterance of this split
    assert all(emotions[min(pair)] != emotions[max(pair)] for pair in parallel)


def test_a_warp_finds_where_the_same_is_said(rng: np.random.Generator) -> None:
    """An utterance at half the speed: every step has its counterpart."""
    fast = rng.normal(size=(24, 4)).astype(np.float32)
    slow = fast.repeat(2, axis=0)
    np.testing.assert_array_equal(warp(fast, slow), np.arange(24) // 2)
    np.testing.assert_array_equal(warp(fast, fast), np.arange(12))


def test_the_vertex_loss_counts_millimetres(rng: np.random.Generator) -> None:
    """Against moving the mesh: mean and half the largest distance of both regions."""
    head = load_head()
    curves = torch.from_numpy(rng.random((1, 3, 52), dtype=np.float32))
    target = torch.from_numpy(rng.random((1, 3, 52), dtype=np.float32))
    inside = torch.tensor([[True, True, False]])
    loss = VertexLoss(head)(curves, target, inside)
    error = (curves - target)[0, :2].numpy()
    moved = np.linalg.norm(np.einsum("tc,cvx->tvx", error, head.deltas), axis=-1)  # (2, V)
    expected = 2 * np.abs(error).mean()
    for vertices in (np.asarray(head.regions["lips"]), np.asarray(head.upper)):
        chosen = vertices[np.linspace(0, len(vertices) - 1, min(len(vertices), 64)).astype(int)]
        distance = moved[:, np.unique(chosen)]
        expected += distance.mean() + 0.5 * distance.max(axis=1).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-3)


def test_channels_that_were_not_captured_cost_nothing() -> None:
    """A corpus of mouths says nothing of brows."""
    head = load_head()
    captured = np.ones(52, dtype=np.bool_)
    captured[0] = False
    target = torch.zeros(1, 2, 52)
    curves = target.clone()
    curves[..., 0] = 1.0
    inside = torch.ones(1, 2, dtype=torch.bool)
    assert VertexLoss(head, captured)(curves, target, inside) == VertexLoss(head, captured)(
        target, target, inside
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patience": 0}, "`patience` must be at least 1, got 0"),
        ({"batch_utterances": 0}, "`batch_utterances` must be at least 2, got 0"),
        ({"weight_decay": float("inf")}, "`weight_decay` must be at least 0 and finite, got inf"),
        ({"epochs": -1}, "`epochs` must be at least 0, got -1"),
        ({"batch_utterances": 3}, "`batch_utterances` must be even (pairs), got 3"),
        ({"read_share": 1.5}, "`read_share` must be at least 0 and at most 1, got 1.5"),
        ({"voice_variety": 1.5}, "`voice_variety` must be at least 0 and at most 1, got 1.5"),
        ({"cross_coef": -1.0}, "`cross_coef` must be at least 0 and finite, got -1.0"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0 and finite, got 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    """By name, before anything is trained."""
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(CONFIG, **changes).check()

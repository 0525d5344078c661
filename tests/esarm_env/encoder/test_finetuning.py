"""Fine-tuning of WavLM beside the encoder: after the warm-up, together, and exact to resume."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.audio.encoders.tuned_wavlm import LearningWavLM
from esarm_env.audio.encoders.wavlm import WavLM
from esarm_env.audio.store import open_features
from esarm_env.core.types import Corpus
from esarm_env.encoder.config import EncoderConfig
from esarm_env.encoder.data import SpeechData
from esarm_env.encoder.training import EncoderTrainer
from esarm_env.face import load_head
from esarm_env.task.animation_task import AnimationTask
from train.stages.encoder import speech_data

CONFIG = EncoderConfig(
    content_dim=8, emotion_dim=4, width=16, n_layers=1, n_heads=2, epochs=3, batch_utterances=4,
    dropout=0.0, patience=3, finetune_layers=1, finetune_after=1, finetune_learning_rate=1e-2,
)  # fmt: skip


@pytest.fixture(scope="module")
def frozen(tiny_wavlm: Path) -> WavLM:
    """Return the frozen encoder."""
    return WavLM(str(tiny_wavlm), mixture=(), fetch=False)


@pytest.fixture(scope="module")
def data(
    tiny_task: AnimationTask, frozen: WavLM, tmp_path_factory: pytest.TempPathFactory
) -> SpeechData:
    """Return the tiny corpus with its frozen features and its audio."""
    folder = tmp_path_factory.mktemp("features")
    features = open_features(tiny_task.corpus, frozen, cache=folder, progress=False)
    return speech_data(replace(tiny_task, features=features), folder)


def make_trainer(
    data: SpeechData, corpus: Corpus, frozen: WavLM | None, **changes: object
) -> EncoderTrainer:
    """Return a trainer on the tiny corpus."""
    return EncoderTrainer(
        data,
        load_head(),
        train=corpus.split("train"),
        validation=corpus.split("validation"),
        config=replace(CONFIG, **changes),
        seed=3,
        wavlm=None if frozen is None else LearningWavLM(frozen, n_layers=1),
    )


def wavlm_of(trainer: EncoderTrainer) -> dict[str, np.ndarray]:
    """Return what learns in WavLM."""
    return {key: value.numpy().copy() for key, value in trainer._wavlm.state_dict().items()}


def test_wavlm_learns_after_the_warm_up(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """Until then it is frozen to the bit, and the epochs are those of frozen features."""
    trainer = make_trainer(data, tiny_corpus, frozen)
    plain = make_trainer(data, tiny_corpus, None, finetune_layers=0)
    before = wavlm_of(trainer)
    assert trainer.advance() == plain.advance()
    for name, value in wavlm_of(trainer).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    row = trainer.advance()
    assert row["train_loss"] != plain.advance()["train_loss"]
    after = wavlm_of(trainer)
    assert np.abs(after["change"] - before["change"]).max() > 1e-3
    name = "layers.0.feed_forward.output_dense.weight"
    assert np.abs(after[name] - before[name]).max() > 1e-3


def test_at_a_rate_of_0_the_epochs_are_those_of_frozen_features(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """But for the half precision of the store: what is computed in the minibatch is the same."""
    tuned = make_trainer(data, tiny_corpus, frozen, finetune_learning_rate=0.0)
    plain = make_trainer(data, tiny_corpus, None, finetune_layers=0)
    for _ in range(2):
        rows = tuned.advance(), plain.advance()
    for name, value in rows[1].items():
        assert rows[0][name] == pytest.approx(value, rel=2e-3), name


def test_an_interruption_changes_no_weight_of_either(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """Stopped where WavLM has begun to learn, the rest is the same to the last bit."""
    whole, first = (make_trainer(data, tiny_corpus, frozen) for _ in range(2))
    for _ in range(3):
        whole.advance()
    for _ in range(2):
        first.advance()
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = make_trainer(data, tiny_corpus, frozen)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    second.advance()
    for name, value in wavlm_of(whole).items():
        np.testing.assert_array_equal(wavlm_of(second)[name], value, err_msg=name)
    for trainer in (whole, second):
        trainer.finish()
    assert whole.encoder.content_hash() == second.encoder.content_hash()
    keys = [trainer._wavlm.finished().key for trainer in (whole, second)]
    assert keys[0] == keys[1]


def test_both_networks_are_of_the_best_epoch(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """An encoder hears nothing in the features of another epoch."""
    trainer = make_trainer(data, tiny_corpus, frozen)
    for _ in range(2):
        trainer.advance()
    trainer._best_epoch, trainer._best = 2, {
        name: value.clone() for name, value in trainer._kept.state_dict().items()
    }  # fmt: skip
    trainer._best_loss, best = -1.0, wavlm_of(trainer)  # nothing is better than that
    trainer.advance()
    assert np.abs(wavlm_of(trainer)["change"] - best["change"]).max() > 0
    trainer.finish()
    for name, value in wavlm_of(trainer).items():
        np.testing.assert_array_equal(value, best[name], err_msg=name)
    tuned = trainer.tuned_wavlm()
    assert tuned is not None
    assert tuned.key != LearningWavLM(frozen, n_layers=1).finished().key


def test_where_the_warm_up_was_best_wavlm_stays_frozen(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """Nothing is saved, and no feature computed anew, for what did not help."""
    trainer = make_trainer(data, tiny_corpus, frozen)
    trainer.advance()
    trainer._best_loss = -1.0
    trainer.advance()
    trainer.finish()
    assert trainer.tuned_wavlm() is None


def test_patience_waits_for_wavlm(data: SpeechData, tiny_corpus: Corpus, frozen: WavLM) -> None:
    """Spent in the warm-up, it would end training before anything of WavLM had learnt."""
    trainer = make_trainer(data, tiny_corpus, frozen, patience=1, epochs=8, finetune_after=4)
    trainer.n_done, trainer._best_epoch = 4, 1
    assert trainer.n_total == 8
    trainer.n_done = 5
    assert trainer.n_total == 5


def test_another_frozen_part_is_refused(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """A checkpoint holds what learns; on other layers below it, that is noise."""
    state = make_trainer(data, tiny_corpus, frozen).state_dict() | {"wavlm_origin": "other"}
    message = f"`wavlm_origin` must be {frozen.key}, the weights that WavLM has now, got 'other'"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(data, tiny_corpus, frozen).load_state_dict(state)


def test_nothing_to_fine_tune_is_refused(
    data: SpeechData, tiny_corpus: Corpus, frozen: WavLM
) -> None:
    """Or the setting would be honoured by nobody."""
    message = "`finetune_layers` must be 0 without a WavLM and the audio that it hears"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(data, tiny_corpus, None)
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(replace(data, audio=None), tiny_corpus, frozen)
    with pytest.raises(ValueError, match=re.escape("above 0 with them, got 0")):
        make_trainer(data, tiny_corpus, frozen, finetune_layers=0)
    message = "`finetune_after` must be below `epochs` (3) for WavLM to learn, got 3"
    with pytest.raises(ValueError, match=re.escape(message)):
        make_trainer(data, tiny_corpus, frozen, finetune_after=3)

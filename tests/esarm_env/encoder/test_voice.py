"""Reader of the voice: what it learns, voices of another kind, and honest probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from esarm_env.core.types import EMOTIONS
from esarm_env.encoder.prosody import N_STATISTICS, NAMES
from esarm_env.encoder.voice import RECORDED, VoiceReader

PITCH, FLUX = NAMES.index("pitch"), NAMES.index("flux")
ANGRY, SAD = EMOTIONS.index("angry"), EMOTIONS.index("sad")


@pytest.fixture
def reader(rng: np.random.Generator) -> VoiceReader:
    """Return a reader that learned: angry voices are high and lively, sad ones low and slow."""
    emotions = np.where(np.arange(400) % 2, ANGRY, SAD)
    statistics = rng.normal(size=(400, N_STATISTICS)).astype(np.float32)
    statistics[:, PITCH] = -0.2 + 0.1 * np.where(emotions == ANGRY, 1, -1) * (
        1 + 0.3 * rng.normal(size=400)
    )
    statistics[:, FLUX] += np.where(emotions == ANGRY, 2, -2)
    made = VoiceReader()
    made.fit(statistics, emotions, np.where(emotions == ANGRY, 2, 0))
    return made


def recorded(**spreads: float) -> torch.Tensor:
    """Return statistics of a recorded voice, so many spreads from what is usual there."""
    statistics = torch.zeros(N_STATISTICS)
    for name, (mean, spread) in RECORDED.items():
        statistics[NAMES.index(name)] = mean + spread * spreads.get(name, 0.0)
    return statistics


def test_recorded_voices_count_from_recorded_voices(reader: VoiceReader) -> None:
    """A calm woman is higher than an angry synthetic voice: only the change from usual tells."""
    high, strong = reader.read_recorded(recorded(pitch=1.0, flux=1.0))
    low, weak = reader.read_recorded(recorded(pitch=-1.0, flux=-1.0))
    assert high[ANGRY] > 0.8
    assert low[SAD] > 0.8
    assert strong[2] > 0.8
    assert weak[0] > 0.8
    usual, _ = reader.read_recorded(recorded())
    assert usual[ANGRY].item() == pytest.approx(0.5, abs=0.15)


def test_what_is_far_from_any_voice_is_named_with_less_confidence(reader: VoiceReader) -> None:
    """Noise and a tone were sad, and that for sure."""
    strange = {name: 4.0 for name in RECORDED if name not in ("pitch", "flux")}
    near, _ = reader.read_recorded(recorded(pitch=0.5, flux=0.5))
    far, _ = reader.read_recorded(recorded(pitch=0.5, flux=0.5, **strange))
    assert near.argmax() == far.argmax() == ANGRY
    assert 0.5 < far.max() < near.max() - 0.1


def test_an_emotion_without_training_utterances_is_never_named(reader: VoiceReader) -> None:
    """Zeros in its row would make it the likeliest of all voices without a trait."""
    named, strength = reader.read_recorded(recorded())
    others = [i for i in range(len(EMOTIONS)) if i not in (ANGRY, SAD)]
    assert named[others].max() == 0
    assert strength[1] == 0
    assert named.sum().item() == pytest.approx(1)


def test_a_voice_of_another_kind_is_told(reader: VoiceReader, rng: np.random.Generator) -> None:
    """About one in five of training counts as one; what is far in many ways always does."""
    alike = torch.from_numpy(rng.normal(size=(200, N_STATISTICS)).astype(np.float32))
    alike[:, PITCH] = -0.2 + 0.1 * torch.from_numpy(rng.choice([-1.0, 1.0], 200)).float()
    alike[:, FLUX] += torch.sign(alike[:, PITCH] + 0.2) * 2
    assert np.mean([reader.is_unlike(voice) for voice in alike]) < 0.35
    assert reader.is_unlike(3 * torch.ones(N_STATISTICS))
    assert reader.is_unlike(torch.full((N_STATISTICS,), 1e6))


def test_a_reader_that_learned_nothing_finds_every_voice_alike() -> None:
    """Statistics of encoders in training are heard before there is anything to compare with."""
    assert not VoiceReader().is_unlike(torch.full((N_STATISTICS,), 9.0))


def test_calibration_takes_the_boast_out_of_probabilities(rng: np.random.Generator) -> None:
    """Right in 60 % of cases and sure of 99.9 % in all: afterwards it says 60 %."""
    labels = torch.from_numpy(rng.integers(0, 9, 1000))
    said = torch.where(torch.from_numpy(rng.random(1000)) < 0.6, labels, (labels + 1) % 9)
    logits = 9.0 * torch.nn.functional.one_hot(said, 9).float()
    reader = VoiceReader()
    reader.calibrate(logits, labels)
    sure = (logits / reader.temperature).softmax(-1).amax(-1).mean().item()
    assert sure == pytest.approx(0.6, abs=0.06)
    assert reader.temperature > 2

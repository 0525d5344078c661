"""Statistics of prosody: the numbers they are said to be, whole and running."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from esarm_env.encoder.prosody import N_STATISTICS, NAMES, prosody_statistics


def utterance(pitch: np.ndarray, loudness: np.ndarray, voiced: np.ndarray) -> torch.Tensor:
    """Return features (1, T, 37): two others, bands that rise by frame, and the prosody."""
    n = len(pitch)
    bands = np.tile(0.01 * np.arange(n)[:, None], (1, 32))
    rows = np.column_stack([np.full((n, 2), 9.0), bands, loudness, voiced, pitch])
    return torch.from_numpy(rows.astype(np.float32))[None]


def named(statistics: torch.Tensor) -> dict[str, float]:
    """Return the named statistics of the first utterance at its last frame."""
    return dict(zip(NAMES, statistics[0, -1, : len(NAMES)].tolist(), strict=True))


@pytest.fixture
def rising() -> torch.Tensor:
    """Return a second of a rising voice between two silences of half a second."""
    voiced = np.zeros(60)
    voiced[15:45] = 1
    pitch = np.where(voiced > 0, 0.2 + 0.01 * np.arange(60), 0.0)
    loudness = np.where(voiced > 0, -0.5, -2.5)
    return utterance(pitch, loudness, voiced)


def test_statistics_of_a_rising_voice(rising: torch.Tensor) -> None:
    """Octaves, octaves a second, 20 dB: units that the reader of voices counts in."""
    inside = torch.ones(1, 60, dtype=torch.bool)
    statistics = prosody_statistics(rising, inside)
    assert statistics.shape == (1, 1, N_STATISTICS)
    values = named(statistics)
    assert values["pitch"] == pytest.approx(0.2 + 0.01 * 29.5, abs=1e-4)
    assert values["pitch spread"] == pytest.approx(0.01 * np.arange(30).std(), abs=1e-3)
    assert values["pitch step"] == pytest.approx(0.01, abs=1e-4)
    # 0.3 octaves a second, drawn in because time of short voices is known badly
    assert values["pitch slope"] == pytest.approx(0.3 * 0.0832 / (0.0832 + 0.05), rel=0.01)
    assert values["loudness"] == pytest.approx(-0.5)
    assert values["voiced share"] == pytest.approx(1.0)
    assert values["onsets"] == pytest.approx(1 / 30)
    assert values["flux"] == pytest.approx(0.01, abs=1e-5)


def test_half_voiced_frames_hold_half_of_the_pitch() -> None:
    """Frames average two hops: a voice that stops within one is no deeper."""
    pitch, voiced = np.full(30, 0.6), np.ones(30)
    pitch[10], voiced[10] = 0.36, 0.6
    statistics = prosody_statistics(
        utterance(pitch, np.full(30, -0.5), voiced), torch.ones(1, 30, dtype=torch.bool)
    )
    assert named(statistics)["pitch"] == pytest.approx(0.6, abs=1e-5)
    assert named(statistics)["pitch spread"] < 0.01


def test_running_statistics_are_those_of_what_was_heard(rising: torch.Tensor) -> None:
    """A causal encoder is trained on the same numbers as it hears later."""
    inside = torch.ones(1, 60, dtype=torch.bool)
    running = prosody_statistics(rising, inside, running=True)
    assert running.shape == (1, 60, N_STATISTICS)
    for n in (1, 20, 47, 60):
        whole = prosody_statistics(rising[:, :n], inside[:, :n])
        torch.testing.assert_close(running[:, n - 1 : n], whole, rtol=1e-3, atol=1e-4)


def test_silence_has_finite_statistics() -> None:
    """A recording without a voice is no reason for NaN in a policy's observation."""
    silent = utterance(np.zeros(8), np.full(8, -3.0), np.zeros(8))
    inside = torch.ones(1, 8, dtype=torch.bool)
    for running in (False, True):
        assert prosody_statistics(silent, inside, running=running).isfinite().all()
    nothing = prosody_statistics(silent, torch.zeros_like(inside))
    assert nothing.isfinite().all()

"""The baseline that copies: it finds what it has heard, among those it may look at."""

from __future__ import annotations

import re

import numpy as np
import pytest

from agents.baselines import NearestNeighbour
from agents.baselines.nearest import SEGMENT


def _speech(seed: int, n_frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return features (T, 6) and curves (T, 3), both smooth."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_frames + 4, 9))
    smooth = np.mean([noise[k : k + n_frames] for k in range(5)], axis=0).astype(np.float32)
    return smooth[:, :6], 0.5 + 0.2 * smooth[:, 6:]


def test_what_was_heard_in_training_gets_its_own_face_back() -> None:
    """Cross-fading copies of one recording gives that recording; a shift by a frame would not."""
    spoken = [_speech(seed) for seed in range(4)]
    baseline = NearestNeighbour(*map(list, zip(*spoken, strict=True)))
    assert baseline.size == 4 * 15 * SEGMENT * (6 + 3), "a segment every 2 frames, one at the end"
    for features, curves in spoken:
        np.testing.assert_allclose(baseline.animate(features), curves, atol=1e-6)


def test_a_condition_looks_among_its_own_alone() -> None:
    """The same words happy and sad: the face is that of who is asked for."""
    features, curves = _speech(0)
    other = features + np.float32(0.3)
    baseline = NearestNeighbour([features, other], [curves, 1 - curves], ["sad", "fear"])
    np.testing.assert_allclose(baseline.animate(features, "fear"), 1 - curves, atol=1e-6)
    np.testing.assert_allclose(baseline.animate(features, "unheard"), curves, atol=1e-6)
    first = NearestNeighbour([features, features], [curves, 1 - curves], ["sad", "happy"])
    np.testing.assert_allclose(first.animate(features, "happy"), 1 - curves, atol=1e-6)


def test_speech_shorter_than_a_segment_and_one_frame_are_animated() -> None:
    """A window over the end would raise, or give another length."""
    features, curves = _speech(0)
    baseline = NearestNeighbour([features, features[:3]], [curves, curves[:3]])
    for n_frames in (1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT + 3):
        motion = baseline.animate(features[:n_frames])
        assert motion.shape == (n_frames, 3) and motion.dtype == np.float32
        assert np.isfinite(motion).all()


def test_every_frame_is_covered_whatever_the_length() -> None:
    """A frame that no segment covers would be 0 / 0."""
    features, curves = _speech(0, n_frames=60)
    baseline = NearestNeighbour([features], [curves])
    for n_frames in range(1, 60):
        assert np.isfinite(baseline.animate(features[:n_frames])).all(), n_frames


def test_what_does_not_belong_together_is_refused() -> None:
    """Curves of another utterance would be copied without a word."""
    features, curves = _speech(0)
    message = "`features` must be one or more, as many as `curves` and `conditions`, got 2, 1 and 2"
    with pytest.raises(ValueError, match=re.escape(message)):
        NearestNeighbour([features, features], [curves])

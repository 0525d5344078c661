"""A recording of any length becomes one animation, with the front door's names alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agents import MotionTransformer, PolicyConfig, animate, animate_utterances, load_policy
from agents.rollout.animation import draw_samples
from agents.rollout.decoding import Decoding
from esarm_env import InputError, open_speech

RATE_HZ = 16_000


def speech(duration_s: float) -> np.ndarray:
    """Return syllables with a pause every two and a half seconds."""
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    loud = (np.sin(2 * np.pi * 4 * time_s) > 0) * (time_s % 2.5 < 2.1)
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(len(time_s))
    return (0.2 * loud * np.sin(2 * np.pi * 140 * time_s) + hiss).astype(np.float32)


def test_a_recording_is_animated_whole(tmp_path: Path) -> None:
    """Longer than any utterance in training: pieces, and no frame too many or too few."""
    soundfile.write(tmp_path / "speech.wav", speech(19.0), RATE_HZ)
    recording = open_speech(tmp_path / "speech.wav", emotion="happy", intensity=3)
    assert len(recording.lengths) > 1
    motion = animate(load_policy(), recording)
    assert motion.shape == (19 * 30, 52) and np.isfinite(motion).all()
    np.testing.assert_array_equal(motion, animate(load_policy("shipped"), recording, seed=5))


def test_samples_differ_by_seed_and_conditions_matter() -> None:
    """An emotion that reached nobody would look like a weak policy."""
    policy, audio = load_policy(), speech(3.0)
    happy, angry = (open_speech(audio, emotion=emotion) for emotion in ("happy", "angry"))
    first, again, other = (animate(policy, happy, temperature=1.0, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(animate(policy, happy), animate(policy, angry))


def test_a_temperature_of_0_takes_the_most_likely_tokens() -> None:
    """By expected distance nothing is left to chance either, and still it is something else."""
    policy, happy = load_policy(), open_speech(speech(3.0), emotion="happy")
    shape = policy.code_distances.shape
    policy.set_code_distances(np.random.default_rng(0).random(shape))
    greedy = animate(policy, happy, decoding="greedy")
    np.testing.assert_array_equal(animate(policy, happy, temperature=0), greedy)
    assert not np.array_equal(animate(policy, happy), greedy)


def test_a_speaker_that_the_run_does_not_know_is_refused() -> None:
    """A typo would be the average speaker without a word."""
    with pytest.raises(InputError, match=r"`speaker` must be one of S\d\d, .* got 'nobody'"):
        open_speech(speech(2.0), speaker="nobody")


def test_a_policy_of_another_run_is_refused() -> None:
    """Torch would speak of the shapes of two matrices."""
    shipped = load_policy().config
    sizes = {"n_tokens": 96, "tokens_per_chunk": 4, "n_layers": 1, "n_heads": 2, "width": 16}
    policy = MotionTransformer(PolicyConfig(window_dim=12, condition_dim=21, **sizes))
    rule = (
        f"`speech` must have the `window_dim` of the policy (12), got {shipped.window_dim}; open "
        "it with the run that the policy comes from"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        animate(policy, open_speech(speech(2.0)))


def test_samples_written_together_are_those_written_alone() -> None:
    """Figures of a run would depend on how many samples were asked for."""
    policy, task = load_policy(), open_speech(speech(3.0), emotion="happy")
    asked, every = {"decoding": Decoding(temperature=1.0), "seed": 3}, np.arange(len(task.lengths))
    together = draw_samples(policy, task, every, 3, **asked)
    alone = [animate_utterances(policy, task, every, sample=k, **asked) for k in range(3)]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
    assert not np.array_equal(together[0].tokens, together[1].tokens)

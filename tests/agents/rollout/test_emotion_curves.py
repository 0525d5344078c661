"""Emotions that change while somebody speaks: the condition of each chunk reaches the policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents import animate, load_policy
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.animation import animate_utterances
from agents.rollout.best_of_n import best_of_n
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env import open_speech
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import FloatArray, Trajectories
from esarm_env.corpus import open_corpus
from esarm_env.face import ARKIT_NAMES
from esarm_env.task.emotion_curve import EmotionCurve

RATE_HZ = 16_000
UPPER = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("brow", "eyeWide", "cheek"))]


@pytest.fixture(scope="module")
def audio() -> FloatArray:
    """Return 12 s of speech that ships: what is no speech, a policy does not know what to do on."""
    corpus = open_corpus("synthetic-mini")
    return np.concatenate([corpus[index].audio for index in range(6)])[: 12 * RATE_HZ]


def test_the_upper_face_follows_the_curve(audio: FloatArray, tmp_path: Path) -> None:
    """Sad brows to the middle, surprised ones from there: near each by itself, far from the other.

    The change comes within a piece, so the policy must turn round while it writes.
    """
    path = tmp_path / "turn.csv"
    path.write_text("time_s,sad,surprised\n0,1,0\n5.5,1,0\n6,0,1\n12,0,1\n")
    policy = load_policy()
    turning, sad, surprised = (
        animate(policy, open_speech(audio, emotion=emotion))[:, UPPER]
        for emotion in (path, "sad", "surprised")
    )
    apart = np.abs(sad - surprised).mean(axis=1)
    first, second = slice(0, int(5.3 * 30)), slice(int(7.5 * 30), 12 * 30)
    assert apart[first].mean() > 0.1 and apart[second].mean() > 0.1
    np.testing.assert_array_equal(turning[first], sad[first])
    near, far = (np.abs(turning - other)[second].mean() for other in (surprised, sad))
    assert near < 0.25 * far


@pytest.mark.parametrize("decoding", ["greedy", "sampled", "beam"])
def test_a_constant_curve_is_the_emotion_bit_for_bit(audio: FloatArray, decoding: str) -> None:
    """Products of matrices of other shapes round otherwise: what never changes is one condition."""
    policy = load_policy()
    curve = EmotionCurve.of([0, 5, 20], {"happy": [1, 1, 1]}, intensity=[3, 3, 3])
    plain = open_speech(audio, emotion="happy", intensity=3)
    curved = open_speech(audio, emotion=curve)
    assert curved.conditions_over_time(np.arange(2)) is None
    np.testing.assert_array_equal(
        animate(policy, curved, decoding=decoding, seed=3),
        animate(policy, plain, decoding=decoding, seed=3),
    )


def test_pieces_see_their_own_part_of_the_curve(audio: FloatArray) -> None:
    """A piece that began at the start of the curve would smile too early, every time."""
    curve = EmotionCurve.of([0, 12], {"neutral": [1, 0], "happy": [0, 1]})
    speech = open_speech(audio, emotion=curve)
    pieces = np.arange(len(speech.lengths))
    assert len(pieces) > 1
    rows = speech.conditions_over_time(pieces)
    assert rows is not None
    frames_per_chunk = speech.tokenizer.frames_per_chunk
    happy = 6
    for piece, begin, windows in zip(rows, speech.begins, speech.windows, strict=True):
        middles_s = (begin + np.arange(len(windows)) + 0.5) * frames_per_chunk / 30
        np.testing.assert_allclose(
            piece[: len(windows), happy], np.minimum(middles_s / 12, 1), atol=1e-6
        )
        assert (piece[len(windows) :] == piece[len(windows) - 1]).all()
    means = [rows[i, : len(speech.windows[i])].mean(axis=0) for i in pieces]
    np.testing.assert_allclose(speech.condition_of(pieces), means, atol=1e-7)
    some = pieces[::-1]
    np.testing.assert_array_equal(speech.condition_of(some), speech.condition_of(pieces)[::-1])


def test_rewards_see_the_mean_of_a_curve(audio: FloatArray) -> None:
    """Trajectories hold one condition a row, and every reward reads it as such."""
    curve = EmotionCurve.of([0, 12], {"neutral": [1, 0], "happy": [0, 1]})
    speech, policy, pieces = open_speech(audio, emotion=curve), load_policy(), np.arange(2)
    shown: list[Trajectories] = []

    def score(drawn: Trajectories) -> FloatArray:
        shown.append(drawn)
        return np.zeros(len(drawn), dtype=np.float32)

    best, _ = best_of_n(policy, speech, pieces, score=score, n=2)
    first = animate_utterances(policy, speech, pieces, decoding=Decoding(temperature=1.0), seed=0)
    np.testing.assert_array_equal(best.tokens, first.tokens)
    np.testing.assert_array_equal(shown[0].condition, speech.condition_of(pieces))


def test_conditions_by_chunk_are_those_of_the_chunk(
    task: SequenceTask, make_model: Callable[..., MotionTransformer], network: dict[str, Any]
) -> None:
    """Against the definition: each chunk's input is that of its own condition alone."""
    model = make_model(task, seed=3, **network["network"]).eval()
    windows = torch.from_numpy(task.audio_windows(np.array([0, 1])))
    conditions = torch.rand(2, windows.shape[1], task.condition_dim)
    with torch.no_grad():
        found = model.conditioning(windows, conditions)
        for chunk in range(windows.shape[1]):
            alone = model.conditioning(windows, conditions[:, chunk])[:, chunk]
            torch.testing.assert_close(found[:, chunk], alone)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(temperature=1.0), Decoding(beam=2)])
def test_sequences_are_written_from_their_own_conditions_in_any_batch(
    task: SequenceTask,
    make_model: Callable[..., MotionTransformer],
    network: dict[str, Any],
    decoding: Decoding,
) -> None:
    """Rows are sorted by length and cut to the batch: a curve must go along with its row."""
    model = make_model(task, seed=3, **network["network"])
    utterances = np.arange(4)
    n_chunks = int(task.lengths[utterances].max()) // task.tokens_per_chunk
    curves = np.random.default_rng(0).random((4, n_chunks, task.condition_dim)).astype(np.float32)
    seeds = sequence_seeds(run_seed=0, iteration=0, utterances=utterances, samples=0)

    def wrote(rows: list[int], batch_size: int) -> np.ndarray:
        return generate(
            model,
            task,
            utterances[rows],
            condition=curves[rows],
            decoding=decoding,
            seeds=seeds[rows],
            batch_size=batch_size,
        ).tokens

    whole = wrote([0, 1, 2, 3], 64)
    np.testing.assert_array_equal(wrote([0, 1, 2, 3], 1), whole)
    for row in range(4):
        length = int(task.lengths[row])
        np.testing.assert_array_equal(wrote([row], 64)[0, :length], whole[row, :length])

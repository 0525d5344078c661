"""Distances between samples: those of the metrics, shared out among chunks."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.core.types import Trajectories
from esarm_env.metrics import energy_score, lip_vertex_error
from esarm_env.metrics.variant import Variant
from esarm_env.task.animation_task import AnimationTask


@pytest.fixture
def samples(tiny_task: AnimationTask, rng: np.random.Generator) -> Trajectories:
    """Return three animations of one utterance, two of a longer one, one of a third; mixed."""
    utterances = np.array([4, 10, 4, 6, 10, 4])
    lengths = tiny_task.lengths[utterances]
    tokens = rng.integers(tiny_task.n_tokens, size=(6, int(lengths.max())))
    tokens[np.arange(tokens.shape[1]) >= lengths[:, None]] = -1
    return Trajectories(utterances, tokens, lengths, tiny_task.condition_of(utterances))


def test_chunks_add_up_to_the_errors_of_one_sample_against_the_others(
    tiny_task: AnimationTask, samples: Trajectories
) -> None:
    """A unit of its own would weigh spread against errors by accident."""
    apart = tiny_task.sample_distances(samples)
    n_chunks = samples.tokens.shape[1] // tiny_task.tokens_per_chunk
    assert apart.shape == (6, n_chunks, 2)
    assert apart.dtype == np.float32
    motion = tiny_task.decode(samples)
    for one, others in ((0, [2, 5]), (1, [4]), (5, [0, 2])):
        n_frames = int(tiny_task.n_frames[samples.utterance[one]])
        expected = [
            lip_vertex_error(motion[one, :n_frames], motion[other, :n_frames], head=tiny_task.head)
            for other in others
        ]
        assert apart[one, :, 0].sum() == pytest.approx(np.mean(expected), rel=1e-4)
        ends = samples.lengths[one] // tiny_task.tokens_per_chunk
        assert (apart[one, ends:] == 0).all()
        assert (apart[one, :ends] > 0).all()
    assert (apart[3] == 0).all(), "a sample alone is no distance from anything"


def test_a_chunk_holds_its_own_frames_alone(
    tiny_task: AnimationTask, samples: Trajectories
) -> None:
    """Two animations that differ in their last token alone: the first chunks are equal."""
    row = samples[np.array([1, 1])]
    tokens = row.tokens.copy()
    tokens[1, row.lengths[1] - 1] = (tokens[1, row.lengths[1] - 1] + 1) % tiny_task.n_tokens
    other = Trajectories(row.utterance, tokens, row.lengths, row.condition)
    apart = tiny_task.sample_distances(other)
    moved = np.flatnonzero(apart[0].any(axis=1))
    reach = tiny_task.tokenizer.look_ahead_chunks
    assert len(moved) and moved.min() >= apart.shape[1] - 1 - reach
    lips, upper = apart[0].sum(axis=0)
    assert lips < upper / 2, "the last token is the upper face's"


def test_half_of_them_off_the_errors_is_the_energy_score(
    tiny_task: AnimationTask, samples: Trajectories
) -> None:
    """What trainers climb with `spread_coef` and the figure of the report are one."""
    rows = np.array([0, 2, 5])
    group = samples[rows]
    n_frames = int(tiny_task.n_frames[4])
    motion = tiny_task.decode(group)[None, :, :n_frames]
    target = tiny_task.target_motion(np.array([4]))
    spread = tiny_task.sample_distances(group).sum(axis=1).mean(axis=0)
    errors = tiny_task.errors(group)
    for place, (name, region) in enumerate((("lve", "lips"), ("eve", "upper"))):
        expected = energy_score(
            motion,
            target,
            head=tiny_task.head,
            variant=Variant(region),
            captured=tiny_task.corpus.captured,
        )
        assert errors[name].mean() - spread[place] / 2 == pytest.approx(expected[0], rel=1e-3)


def test_pieces_of_pairs_do_not_change_them(
    tiny_task: AnimationTask, samples: Trajectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many samples are compared a few pairs at a time."""
    expected = tiny_task.sample_distances(samples)
    for size in (1, 3):
        monkeypatch.setattr("esarm_env.task.sample_distances._N_PAIRS", size)
        np.testing.assert_allclose(tiny_task.sample_distances(samples), expected, rtol=1e-6)

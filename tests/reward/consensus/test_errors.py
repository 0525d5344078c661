"""The expected error: a mean of the metric it stands for, counted chunk by chunk."""

import re

import numpy as np
import pytest
import torch

from esarm_env.metrics import emotional_vertex_error, lip_vertex_error
from reward.consensus import ExpectedErrors

ALL = 10_000  # vertices


@pytest.fixture
def motions(rng):
    """Five motions of three chunks, shape (5, 12, 52)."""
    return torch.from_numpy(rng.random((5, 12, 52), dtype=np.float32))


def of_metrics(task, first, second):
    """Return LVE and EVE of (M, T, 52) against (K, T, 52), shape (M, K, 2), by the metrics."""
    pairs = np.array([[(a.numpy(), b.numpy()) for b in second] for a in first])
    flat = pairs.reshape(-1, 2, *first.shape[1:])
    known = {"head": task.head, "captured": task.corpus.captured}
    errors = [metric(flat[:, 0], flat[:, 1], **known)
              for metric in (lip_vertex_error, emotional_vertex_error)]  # fmt: skip
    return np.stack(errors, axis=-1).reshape(len(first), len(second), 2)


def test_the_mean_over_chunks_is_the_metric(tiny_task, motions):
    """An error of another kind would teach the model to lower something that nobody measures."""
    errors = ExpectedErrors(tiny_task, most_vertices=ALL)
    found = errors.between(motions[:2], motions[2:], n_frames=12).mean(dim=2)
    np.testing.assert_allclose(found, of_metrics(tiny_task, motions[:2], motions[2:]), rtol=1e-4)


def test_a_sample_is_not_compared_with_itself(tiny_task, motions):
    """The 0 against itself would make every expected error too small, the more the fewer there are.

    Against others, all samples count.
    """
    errors = ExpectedErrors(tiny_task, most_vertices=ALL)
    every = of_metrics(tiny_task, motions, motions)
    alone = errors.of_samples(motions, n_frames=12).mean(dim=1)
    np.testing.assert_allclose(alone, every.sum(axis=1) / 4, rtol=1e-4)
    other = errors.of_motions(motions[:1], motions[1:], n_frames=12).mean(dim=1)
    np.testing.assert_allclose(other, every[:1, 1:].mean(axis=1), rtol=1e-4)


def test_frames_past_the_end_do_not_count(tiny_task, motions):
    """What a decoder writes to fill up the last chunk is nobody's face."""
    errors = ExpectedErrors(tiny_task, most_vertices=ALL)
    changed = motions.clone()
    changed[:, 9:] = 0.5
    found = errors.of_samples(changed, n_frames=9)
    torch.testing.assert_close(found, errors.of_samples(motions, n_frames=9))
    per_frame = of_metrics(tiny_task, motions[:1, 8:9], motions[1:2, 8:9])
    last = errors.between(motions[:1], motions[1:2], n_frames=9)[0, 0, 2]
    np.testing.assert_allclose(last, per_frame[0, 0], rtol=1e-4)


def test_fewer_vertices_change_the_error_by_little(tiny_task, motions):
    """The thinned regions must stand for the whole ones."""
    whole = ExpectedErrors(tiny_task, most_vertices=ALL).of_samples(motions, n_frames=12)
    thin = ExpectedErrors(tiny_task).of_samples(motions, n_frames=12)
    assert ((thin <= whole + 1e-4) & (thin > 0.8 * whole)).all()
    for stream in range(2):
        assert np.corrcoef(thin[..., stream].flatten(), whole[..., stream].flatten())[0, 1] > 0.9


def test_one_sample_expects_nothing(tiny_task, motions):
    """There is nobody to disagree with."""
    with pytest.raises(ValueError, match=re.escape("`samples` must hold at least 2 animations")):
        ExpectedErrors(tiny_task).of_samples(motions[:1], n_frames=12)

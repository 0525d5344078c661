"""Audio beside motion in chunks, and how animations end."""

import numpy as np
import torch

from reward.chunks import make_chunks


def test_the_last_frame_fills_up_the_last_chunk(tiny_task, rng):
    """Zeros instead would be a face that collapses at the end of every sentence."""
    utterance = int(np.flatnonzero(tiny_task.n_frames % 4)[0])
    n_frames = int(tiny_task.n_frames[utterance])
    motion = rng.random((n_frames, 52), dtype=np.float32)
    batch = make_chunks(tiny_task, np.array([utterance]), [motion])
    frames = batch.motion[0].reshape(-1, 52).numpy()
    assert len(frames) == -(-n_frames // 4) * 4
    np.testing.assert_array_equal(frames[:n_frames], motion)
    np.testing.assert_array_equal(frames[n_frames:], np.tile(motion[-1], (-n_frames % 4, 1)))
    assert batch.condition is None


def test_cut_motion_ends_as_recordings_do(tiny_task, rng):
    """Where a decoder goes on to the end of the chunk, a recording has nothing to show."""
    utterance = np.array([int(np.flatnonzero(tiny_task.n_frames % 4)[0])])
    n_frames = int(tiny_task.n_frames[utterance[0]])
    whole = rng.random((-(-n_frames // 4) * 4, 52), dtype=np.float32)
    condition = tiny_task.condition_of(utterance)
    cut = make_chunks(tiny_task, utterance, [whole], condition=condition, cut=True)
    recorded = make_chunks(tiny_task, utterance, [whole[:n_frames]])
    assert torch.equal(cut.motion, recorded.motion)
    assert not torch.equal(make_chunks(tiny_task, utterance, [whole]).motion, recorded.motion)
    np.testing.assert_array_equal(cut.condition, condition)

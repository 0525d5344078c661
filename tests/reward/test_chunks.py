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


def test_animations_of_unlike_length_are_what_each_is_alone(tiny_task, rng):
    """Rows are padded with zeros past their own last chunk, however long the others are."""
    utterances = np.array([4, 6, 5])
    motions = [rng.random((n, 52), dtype=np.float32) for n in tiny_task.n_frames[utterances]]
    together = make_chunks(tiny_task, utterances, motions)
    for row, (utterance, motion) in enumerate(zip(utterances, motions, strict=True)):
        alone = make_chunks(tiny_task, np.array([utterance]), [motion])
        n = int(alone.n_chunks[0])
        assert int(together.n_chunks[row]) == n
        assert torch.equal(together.motion[row, :n], alone.motion[0])
        assert not together.motion[row, n:].any()

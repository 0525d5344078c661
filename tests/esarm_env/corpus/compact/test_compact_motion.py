"""Curves in a byte per value."""

from __future__ import annotations

import numpy as np

from esarm_env.corpus.compact.corpus import pack_motion, unpack_motion


def test_curves_come_back_within_half_a_step(rng: np.random.Generator) -> None:
    """Noise steps up and down by more than 127, where a signed byte would end."""
    motions = [rng.random((n, 52)).astype(np.float32) for n in (1, 40, 7)]
    motions[1][:2] = [[1.0], [0.0]]  # the longest step there is
    steps = pack_motion(motions)
    assert steps.dtype == np.uint8
    assert steps.shape == (52, 48)
    begin = 0
    for motion in motions:
        back = unpack_motion(steps[:, begin : begin + len(motion)])
        assert back.dtype == np.float32
        assert back.min() >= 0
        assert back.max() <= 1
        np.testing.assert_allclose(back, motion, atol=0.5 / 255 + 1e-6)
        begin += len(motion)


def test_packing_twice_changes_nothing(rng: np.random.Generator) -> None:
    """The ends 0 and 1 must be met, and a corpus made of this one must be this one."""
    motion = rng.random((20, 52)).astype(np.float32)
    motion[3], motion[4] = 0, 1
    once = unpack_motion(pack_motion([motion]))
    np.testing.assert_array_equal(once[3:5], motion[3:5])
    np.testing.assert_array_equal(unpack_motion(pack_motion([once])), once)

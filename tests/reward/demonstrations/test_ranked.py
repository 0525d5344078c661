"""Ranked demonstrations on disk and in memory."""

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from reward.demonstrations import RankedDemonstrations, load_demonstrations


def test_saving_and_loading_gives_the_same_demonstrations(demonstrations, tmp_path):
    """Tokens are stored as 16-bit integers; padding must come back as -1."""
    demonstrations.save(tmp_path / "d.npz")
    loaded = load_demonstrations(tmp_path / "d.npz")
    np.testing.assert_array_equal(loaded.epsilon, demonstrations.epsilon)
    for name in ("utterance", "tokens", "lengths", "condition"):
        expected = getattr(demonstrations.trajectories, name)
        np.testing.assert_array_equal(getattr(loaded.trajectories, name), expected)


def test_levels_are_ascending_and_rows_can_be_selected(demonstrations):
    """The first level is taken as the best one when scores are standardised."""
    assert demonstrations.levels.tolist() == [0.0, 1.0]
    best = demonstrations[demonstrations.epsilon == 0]
    assert len(best) == len(demonstrations) // 2 and set(best.epsilon) == {0.0}


def test_one_noise_level_per_trajectory_is_required(demonstrations):
    """Broadcasting a single level would rank everything equal."""
    with pytest.raises(ValueError, match=re.escape(f"shape ({len(demonstrations)},), got (1,)")):
        RankedDemonstrations(demonstrations.trajectories, np.zeros(1, dtype=np.float32))


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_a_damaged_file_says_what_to_do(content, demonstrations, tmp_path):
    """A run that was killed on a full disk must not end in a stack trace."""
    path = tmp_path / "d.npz"
    if content is None:
        demonstrations.save(path)
        content = path.read_bytes()[:200]
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape("delete the stage and run it again")):
        load_demonstrations(path)

"""`esarm animate`: blinks and eye movements over what a policy writes."""

import numpy as np
import pytest
import soundfile

from esarm_env.face import MOUTH_CHANNELS, index_of
from esarm_env.face.livelink import read_livelink_csv
from esarm_env.liveliness import add_liveliness, find_blinks
from tests.train.conftest import RATE_HZ
from train.cli import main


@pytest.fixture(scope="module")
def long_speech(tmp_path_factory, make_speech):
    """A minute of speech as a file."""
    path = tmp_path_factory.mktemp("speech") / "minute.wav"
    soundfile.write(path, make_speech(60, seed=5), RATE_HZ)
    return path


@pytest.fixture(scope="module")
def animated(finished_run, long_speech, tmp_path_factory):
    """A function that returns the motion of the minute, (T, 52), with the given options."""
    folder = tmp_path_factory.mktemp("curves")

    def animate(*options):
        output = folder / "curves.csv"
        main(["animate", str(long_speech), "-o", str(output), "--run", str(finished_run), *options])
        return read_livelink_csv(output)[0]

    return animate


def test_a_deterministic_policy_blinks_all_the_same(animated):
    """It cannot foresee a blink, so without the layer it stares through ten minutes."""
    plain, alive = animated("--no-alive"), animated()
    assert not len(find_blinks(plain))
    assert 9 <= len(find_blinks(alive)) <= 25
    np.testing.assert_array_equal(alive[:, MOUTH_CHANNELS], plain[:, MOUTH_CHANNELS])
    # Brows never quite rest; of gaze nothing is added where the policy looks around by itself.
    brows = index_of("browInnerUp")
    assert np.ptp(alive[:, brows] - plain[:, brows]) > 0


def test_the_seed_of_the_command_is_the_layer_s(animated):
    """A shot is made again as it was, and another seed gives another take of it."""
    plain, first, again = animated("--no-alive"), animated("--seed", "3"), animated("--seed", "3")
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, add_liveliness(plain, seed=3, own_blinks=False), atol=1e-3)
    assert np.any(first != animated("--seed", "4"))


@pytest.mark.parametrize("decoding", ["greedy", "sampled"])
def test_blinks_of_the_policy_are_replaced(animated, monkeypatch, decoding):
    """Learnt from the first frames of recordings, a blink stood in one clip of four."""
    given = {}

    def open_eyed(motion, **options):
        given.update(options)
        return motion

    monkeypatch.setattr("train.clips.animation.add_liveliness", open_eyed)
    animated("--decoding", decoding, "--seed", "2")
    assert given == {"seed": 2, "own_blinks": False}

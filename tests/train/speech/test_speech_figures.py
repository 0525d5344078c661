"""Figures of voices without recordings, by hand."""

import numpy as np

from train.speech.measures import _away_from


def test_frames_next_to_a_shut_phone_are_left_out():
    """Lips that shut at a loud b would count as a mouth that does not follow the sound."""
    nothing = np.zeros((0, 2))
    phones = {"b": np.array([[0.5, 0.6]]), "p": nothing, "m": nothing, "vowels": nothing}
    near = np.flatnonzero(~_away_from(phones, 40))
    np.testing.assert_array_equal(near, np.arange(13, 21)), "0.4 s is 12, and 0.7 s is 21"
    assert _away_from(phones | {"b": nothing}, 40).all()
    assert _away_from(None, 40) is None, "without the extra nobody knows"

"""Motion beside speech: it is measured with, never learnt from, and that is said."""

import re

import numpy as np
import pytest

from train.speech.folder import read_speech
from train.speech.recorded import recorded_motion


def test_motion_belongs_to_its_part_of_the_file(recordings):
    """Parts of a file measured against the motion of its beginning would all look bad."""
    read = read_speech(recordings)
    assert len(read.motion) == 2
    clips = [clip for clip in read.clips if clip.file == "audio/ann_1.wav"]
    whole = np.load(recordings / "blendshape" / "ann_1.npy")
    with pytest.warns(UserWarning, match="are not learnt from; they serve to measure alone"):
        truths = recorded_motion(read, clips)
    assert set(truths) == {clip.name for clip in clips}
    for clip in clips:
        first = round(clip.begin * 30 / 16_000)
        count = len(truths[clip.name].motion)
        assert abs(count - len(clip.audio) * 30 / 16_000) <= 1
        np.testing.assert_allclose(
            truths[clip.name].motion, whole[first : first + count], atol=1e-6
        )
        assert truths[clip.name].captured.all()


def test_files_that_are_no_motion_are_said_to_be_unused(tmp_path, recordings):
    """A table beside the sounds is no reason to stop, and none to say that it is used."""
    sound = recordings / "audio" / "ann_1.wav"
    (tmp_path / "a.wav").write_bytes(sound.read_bytes())
    (tmp_path / "notes.json").write_text("{}")
    read = read_speech(tmp_path)
    assert read.motion == ("notes.json",)
    message = "its files that may be motion (1, such as notes.json) are not used: "
    with pytest.warns(UserWarning, match=re.escape(message)):
        assert recorded_motion(read, read.clips) == {}

"""Motion files of every format, read by name, checked, and brought to 30 fps.

`read_track` -> `fill_gaps` -> `check_values` -> `at_frame_rate`; `measure_track` tells
beforehand how long a file is and, where its format allows, whether it is whole.
"""

from esarm_env.corpus.motion.reader import MOTION_SUFFIXES, measure_track, read_track
from esarm_env.corpus.motion.resampling import at_frame_rate
from esarm_env.corpus.motion.track import Extent, MotionTrack
from esarm_env.corpus.motion.validation import check_values, fill_gaps

__all__ = [
    "MOTION_SUFFIXES",
    "Extent",
    "MotionTrack",
    "at_frame_rate",
    "check_values",
    "fill_gaps",
    "measure_track",
    "read_track",
]

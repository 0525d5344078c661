"""Motion file readers: every format by column name, validated, and resampled to 30 fps.

- `reader`: `read_track` and `measure_track`, by suffix.
- `text_files` (CSV), `json_files`, `array_files` (`.npy`, `.npz`): the formats.
- `json_documents`, `json_frames`: what of a JSON file is a list of frames, and what is in each.
- `named_arrays`: which of several arrays is the motion.
- `stamps`: time stamps and stated rates, in any unit, to seconds and hertz.
- `frames`: frames that cannot be used, left out and noted.
- `track`: `MotionTrack`, curves at the file's own rate, and its time axis.
- `validation`: range of coefficients, and gaps where the tracker lost the face.
- `resampling`: low-pass interpolation to 30 fps.

`read_track` -> `fill_gaps` -> `check_values` -> `at_frame_rate`; `measure_track` tells
beforehand how long a file is and, where its format allows, whether it is whole.
"""

from esarm_env.corpus.motion.reader import measure_track, read_track
from esarm_env.corpus.motion.resampling import at_frame_rate
from esarm_env.corpus.motion.track import Extent, MotionTrack
from esarm_env.corpus.motion.validation import check_values, fill_gaps
from esarm_env.formats.spellings import MOTION_SUFFIXES

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

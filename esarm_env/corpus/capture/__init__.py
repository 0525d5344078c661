"""Video capture: blendshape tracks from video by MediaPipe's Face Landmarker.

- `faces`: the tracker interface, and the quality of a tracked frame.
- `landmarker`: MediaPipe as a tracker.
- `video`: one video to one CSV file.
- `tree`: a folder of videos to a tree of CSV files.
- `pool`, `worker`: worker processes, replaced when they die.
"""

from esarm_env.corpus.capture.tree import CaptureReport, capture_tree
from esarm_env.corpus.capture.video import HEADER, CaptureSummary, capture_video

__all__ = ["HEADER", "CaptureReport", "CaptureSummary", "capture_tree", "capture_video"]

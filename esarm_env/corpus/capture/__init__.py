"""Video in, blendshape tracks out: MediaPipe's Face Landmarker over a file or a dataset tree."""

from esarm_env.corpus.capture.tree import CaptureReport, capture_tree
from esarm_env.corpus.capture.video import HEADER, CaptureSummary, capture_video

__all__ = ["HEADER", "CaptureReport", "CaptureSummary", "capture_tree", "capture_video"]

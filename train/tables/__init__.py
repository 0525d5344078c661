"""The paper's tables against its rivals, re-built: cells that are cached, figures with intervals.

- `predictions`: motion of any system by utterance, written and read.
"""

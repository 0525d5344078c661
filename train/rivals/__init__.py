"""Rivals of the paper, trained on the recordings of a task and animating its utterances.

- `data`: the utterances of a task as rivals learn from them.
- `training`: one rival in a folder, trained once and loaded from then on.
- `animator`: a trained rival that animates utterances of the task.
"""

from train.rivals.animator import RivalAnimator
from train.rivals.training import train_rival

__all__ = ["RivalAnimator", "train_rival"]

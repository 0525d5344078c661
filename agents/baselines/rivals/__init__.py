"""The paper's rivals, small and from their published descriptions, on 52 face curves.

- `base`: what a rival is, what it hears and sees, and what its training asks of it.
- `registry`: rivals by name.
- `training`: the loop that trains them all.
- `layers`: layers that several rivals are made of: the audio stack, biased causal attention.
- `faceformer`: FaceFormer, autoregressive regression with biased causal attention.
- `emotalk`: EmoTalk, content and emotion from the voice, one pass.
"""

from agents.baselines.rivals.base import Parallel, Rival, RivalBatch, RivalSizes, see
from agents.baselines.rivals.registry import RIVALS, rival_class
from agents.baselines.rivals.training import Couple, RivalData, RivalSettings, RivalTrainer

__all__ = [
    "RIVALS",
    "Couple",
    "Parallel",
    "Rival",
    "RivalBatch",
    "RivalData",
    "RivalSettings",
    "RivalSizes",
    "RivalTrainer",
    "rival_class",
    "see",
]

"""The paper's rivals, small and from their published descriptions, on 52 face curves.

- `base`: what a rival is, what it hears and sees, and what its training asks of it.
- `registry`: rivals by name.
- `data`: utterances as rivals learn from them.
- `training`: the loop that trains them all.
- `layers`: layers that several rivals are made of: the audio stack, biased causal attention.
- `faceformer`: FaceFormer, autoregressive regression with biased causal attention.
- `meshtalk`: MeshTalk, categorical latents of both modalities and an autoregressive prior.
- `code_prior`: that prior, over time and over the heads of a frame.
- `codetalker`: CodeTalker, regression into a discrete motion prior.
- `motion_codes`: that prior, a VQ-VAE of curves.
- `emotalk`: EmoTalk, content and emotion from the voice, one pass.
- `meshtalk`: MeshTalk, categorical latents and an autoregressive prior.
- `codetalker`: CodeTalker, a discrete prior and regression into it.
"""

from agents.baselines.rivals.base import Parallel, Rival, RivalBatch, RivalSizes, see
from agents.baselines.rivals.data import Couple, RivalData
from agents.baselines.rivals.registry import RIVALS, rival_class
from agents.baselines.rivals.training import RivalSettings, RivalTrainer

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

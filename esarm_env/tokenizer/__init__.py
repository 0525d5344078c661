"""The motion prior: a VQ autoencoder between face motion and discrete tokens (imports torch).

- `vq`: the networks: one residual-VQ autoencoder per face stream, and the tokenizer over both.
- `distances`: how far apart two codes look once decoded, in mm on the head, by slot.
- `training`: settings, loss in millimetres, and the resumable training loop.
"""

from esarm_env.tokenizer.distances import code_distances
from esarm_env.tokenizer.training import PriorConfig, train_tokenizer
from esarm_env.tokenizer.vq import VQMotionTokenizer, load_tokenizer

__all__ = [
    "PriorConfig",
    "VQMotionTokenizer",
    "code_distances",
    "load_tokenizer",
    "train_tokenizer",
]

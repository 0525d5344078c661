"""The motion prior: a VQ autoencoder between face motion and discrete tokens (imports torch).

- `vq`: the networks: one residual-VQ autoencoder per face stream, and the tokenizer over both.
- `training`: settings, loss in millimetres, and the resumable training loop.
"""

from esarm_env.tokenizer.training import PriorConfig, train_tokenizer
from esarm_env.tokenizer.vq import VQMotionTokenizer, load_tokenizer

__all__ = ["PriorConfig", "VQMotionTokenizer", "load_tokenizer", "train_tokenizer"]

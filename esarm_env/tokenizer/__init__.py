"""The motion prior: curves to discrete tokens and back (imports torch)."""

from esarm_env.tokenizer.training import PriorConfig, train_tokenizer
from esarm_env.tokenizer.vq import VQMotionTokenizer, load_tokenizer

__all__ = ["PriorConfig", "VQMotionTokenizer", "load_tokenizer", "train_tokenizer"]

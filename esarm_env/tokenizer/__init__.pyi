from .config import PriorConfig as PriorConfig
from .distances import code_distances as code_distances
from .training import train_tokenizer as train_tokenizer
from .vq import VQMotionTokenizer as VQMotionTokenizer
from .vq import load_tokenizer as load_tokenizer

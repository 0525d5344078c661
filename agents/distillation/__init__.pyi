from .bond import BondReward as BondReward
from .config import DistillationConfig as DistillationConfig
from .distillation import SequenceDistillation as SequenceDistillation

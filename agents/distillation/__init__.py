"""Distillation into the policy of what is better than its samples: expert iteration.

`distillation` is the algorithm, `config` its settings, `teachers` says which sequences are written
down as targets, `losses` how the policy is fitted to them, and `answering` how recordings make a
better teacher of the clone first. `bond` turns any reward into one whose optimum is the best of n
samples, for the other algorithms.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.distillation.bond import BondReward
    from agents.distillation.config import DistillationConfig
    from agents.distillation.distillation import SequenceDistillation
else:  # settings are read without torch
    import lazy_loader

    __getattr__, __dir__, _ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "bond": ["BondReward"],
            "config": ["DistillationConfig"],
            "distillation": ["SequenceDistillation"],
        },
    )

__all__ = ["BondReward", "DistillationConfig", "SequenceDistillation"]

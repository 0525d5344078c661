"""The paper's rivals, small and from their published descriptions, on 52 face curves.

- `base`: what a rival is, what it hears and sees, and what its training asks of it.
"""

from agents.baselines.rivals.base import Parallel, Rival, RivalBatch, RivalSizes, see

__all__ = ["Parallel", "Rival", "RivalBatch", "RivalSizes", "see"]

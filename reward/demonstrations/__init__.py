"""Ranked demonstrations: noisy roll-outs, damaged animations and recordings, with their order.

- `ranked`, `making`, `storage`: what a demonstration is, in memory and on disk.
- `collecting`: roll-outs of any policy at any noise; ground truth; damage to all of these.
- `corruptions`: the families of damage. `motions`: demonstrations as motion.
- `order`: which of two ranks higher. `audit`: how often the true errors agree.
- `card`: what a file of them holds, in words.
"""

from reward.demonstrations.collecting import collect, damaged
from reward.demonstrations.corruptions import RollOut
from reward.demonstrations.making import (
    GROUND_TRUTH_RANK,
    ORIGINS,
    POLICY,
    RECONSTRUCTION,
    RECORDING,
    Making,
)
from reward.demonstrations.motions import motions_of, tokens_of
from reward.demonstrations.ranked import Demonstrations, ground_truth
from reward.demonstrations.storage import load_demonstrations

__all__ = [
    "GROUND_TRUTH_RANK",
    "ORIGINS",
    "POLICY",
    "RECONSTRUCTION",
    "RECORDING",
    "Demonstrations",
    "Making",
    "RollOut",
    "collect",
    "damaged",
    "ground_truth",
    "load_demonstrations",
    "motions_of",
    "tokens_of",
]

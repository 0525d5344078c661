"""Supervised baselines: what a policy must beat.

- `mean_face`: always the mean face of the condition, whatever is said.
- `nearest`: faces of the training speech that sounds most alike.
- `regression`: curves straight from speech and condition, without tokens.
"""

from agents.baselines.mean_face import MeanFace
from agents.baselines.nearest import NearestNeighbour
from agents.baselines.regression import Regressor

__all__ = ["MeanFace", "NearestNeighbour", "Regressor"]

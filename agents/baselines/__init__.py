"""Supervised baselines: what a policy must beat."""

from agents.baselines.mean_face import MeanFace
from agents.baselines.regression import Regressor

__all__ = ["MeanFace", "Regressor"]

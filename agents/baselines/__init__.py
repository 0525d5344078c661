"""Supervised baselines: what a policy must beat."""

from agents.baselines.mean_face import MeanFace

__all__ = ["MeanFace"]

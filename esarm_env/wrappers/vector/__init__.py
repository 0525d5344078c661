"""Wrappers for vector environments, under the names of their scalar twins."""

from esarm_env.wrappers.vector.observation import FlatObservation, FullSequenceObservation

__all__ = ["FlatObservation", "FullSequenceObservation"]

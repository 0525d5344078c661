"""Wrappers for environments; `esarm_env.wrappers.vector` has their twins for vector ones."""

from esarm_env.wrappers.flat import FlatObservation
from esarm_env.wrappers.full_sequence import FullSequenceObservation

__all__ = ["FlatObservation", "FullSequenceObservation"]

"""REINFORCE."""

from agents.reinforce.reinforce import SequenceReinforce

__all__ = ["SequenceReinforce"]

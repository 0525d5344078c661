"""Behaviour cloning: the warm start, and the reference of the KL term."""

from agents.cloning.cloning import BehaviourCloning, CloneConfig

__all__ = ["BehaviourCloning", "CloneConfig"]

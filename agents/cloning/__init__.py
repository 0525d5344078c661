"""Behaviour cloning: the warm start, and the reference of the KL term."""

from agents.cloning.cloning import BehaviourCloning
from agents.cloning.config import CloneConfig
from agents.cloning.demonstrations import Demonstrations
from agents.cloning.trainer import CloneTrainer

__all__ = ["BehaviourCloning", "CloneConfig", "CloneTrainer", "Demonstrations"]

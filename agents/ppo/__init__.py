"""Proximal policy optimisation."""

from agents.ppo.ppo import SequencePPO

__all__ = ["SequencePPO"]

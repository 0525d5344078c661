"""Group-relative policy optimisation."""

from agents.grpo.grpo import SequenceGRPO

__all__ = ["SequenceGRPO"]

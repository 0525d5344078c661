"""Ranked demonstrations: noisy roll-outs, damaged animations and recordings, with their order."""

from reward.demonstrations.ranked import Demonstrations, load_demonstrations

__all__ = ["Demonstrations", "load_demonstrations"]

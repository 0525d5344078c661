"""The baseline that writes no tokens: a regressor from speech and condition to curves.

It is the back half of the run's speech encoder, trained on the same recordings with a vertex loss:
what the policy hears, this one turns into curves at once. The yardstick of a token policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agents.protocols import FloatArray


class CurveNetwork(Protocol):
    """What turns streams of speech into curves, such as the task's speech encoder."""

    def curves_of(self, heard: FloatArray, condition: FloatArray) -> FloatArray:
        """Return curves (T, 52) from what is heard (T, dim), under a condition (K,)."""


class Regressor:
    """Animates by regression: one pass, no choice, hence the mean of what people might do."""

    def __init__(self, network: CurveNetwork) -> None:
        """Take the trained network, such as `task.encoder`."""
        self._network = network

    def animate(self, heard: FloatArray, condition: FloatArray) -> FloatArray:
        """Return curves (T, 52) in [0, 1] at 30 fps.

        Args:
            heard: Shape (T, dim), what a policy hears of an utterance: `task.features[index]`.
            condition: Shape (K,), emotion, intensity and speaker.
        """
        return self._network.curves_of(heard, condition)

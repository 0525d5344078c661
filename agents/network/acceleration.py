"""GPU options: bfloat16, `torch.compile` and CUDA graphs; all off by default."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

# How far a token's log-probability may be from that of the plain network, in nats, at the sizes of
# `esarm bench agents`, which measures it wherever it runs.
TOLERANCES = {"plain": 1e-5, "cuda_graphs": 1e-4, "compile": 1e-4, "bf16": 0.1}


@dataclass(frozen=True)
class Acceleration:
    """Options of roll-outs and updates.

    Attributes:
        bf16: Compute in bfloat16 (weights, losses and log-softmax stay in single precision). The
            probability ratio of the first minibatch is then 1 only up to rounding.
        compile: Compile the update's forward pass with `torch.compile`; needs a C++ compiler or
            Triton, and time at first use and for every new shape.
        cuda_graphs: Record a roll-out's step once and replay it; needs `device="cuda"`.
    """

    bf16: bool = False
    compile: bool = False
    cuda_graphs: bool = False

    @property
    def tolerance(self) -> float:
        """The largest of the `TOLERANCES` of what is on, in nats."""
        names = [name for name in ("bf16", "compile", "cuda_graphs") if getattr(self, name)]
        return max((TOLERANCES[name] for name in names), default=TOLERANCES["plain"])

    def check_for(self, device: torch.device) -> None:
        """Check that `device` can do it.

        Raises:
            ValueError: If CUDA graphs are asked for elsewhere.
        """
        if self.cuda_graphs and device.type != "cuda":
            raise ValueError(
                f"`cuda_graphs` must be False on {device.type!r}, got True; use `device='cuda'`"
            )

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context in which a forward pass runs."""
        if not self.bf16:
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)


PLAIN = Acceleration()

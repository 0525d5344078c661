"""Cases of `esarm bench agents`: backends, sizes, and why one is left out."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from agents.network.acceleration import PLAIN, Acceleration

BACKENDS = {
    "ours": "SequencePPO",
    "accelerated": "SequencePPO, accelerated",
    "stock": "SB3 PPO, same network",
    "recurrent": "RecurrentPPO, our minibatches",
    "recurrent-128": "RecurrentPPO, its defaults",
    "generate": "HF GPT-2 generate()",
}
_NEEDS = {
    "stock": "agents.stock",
    "recurrent": "sb3_contrib",
    "recurrent-128": "sb3_contrib",
    "generate": "transformers.models.gpt2.modeling_gpt2",
}
_REMEDIES = {"sb3_contrib": "pip install 'esarm[contrib]'"}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks, and how much of the slow ones is measured.

    Attributes:
        n_layers: Transformer blocks.
        n_heads: Attention heads.
        width: Of the residual stream.
        batch_size: Episodes per minibatch of an update; stock PPO has 64 single tokens, its
            default, because a minibatch of as many tokens would not fit into memory.
        n_forwards: Of stock PPO's roll-out, at most so many calls of the policy are run, spread
            evenly over the episode; the others count with their mean.
        n_minibatches: Of other people's updates, at most so many minibatches are run.
    """

    n_layers: int = 4
    n_heads: int = 4
    width: int = 128
    batch_size: int = 16
    n_forwards: int = 16
    n_minibatches: int = 4

    @property
    def network(self) -> dict[str, Any]:
        """Settings of `PolicyConfig`."""
        names = ("n_layers", "n_heads", "width")
        return {name: getattr(self, name) for name in names} | {"dropout": 0.0}


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        backend: Key of `BACKENDS`.
        length: Tokens of an episode, T.
        n_episodes: Episodes at once, N.
        sizes: Of the network.
        device: Where the networks are.
        acceleration: What `accelerated` trades for speed.
    """

    backend: str
    length: int
    n_episodes: int
    sizes: Sizes = field(default_factory=Sizes)
    device: str = "cpu"
    acceleration: Acceleration = PLAIN

    @property
    def n_tokens(self) -> int:
        """Tokens of one roll-out."""
        return self.length * self.n_episodes

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """Return the case that `to_dict` was called on."""
        parts = {
            "sizes": Sizes(**values["sizes"]),
            "acceleration": Acceleration(**values["acceleration"]),
        }
        return cls(**{**values, **parts})


class Backend(Protocol):
    """A case whose networks and environments are made."""

    parameters: int

    def window(self) -> dict[str, Any]:
        """Measure every phase once.

        Returns:
            Of each phase (`rollout`, `score`, `update`, as far as there are) `tokens`, `seconds`
            and `measured`, the share of the work that was run and not extrapolated; and
            `matmul_gflops` where it is measured.
        """

    def buffer_bytes(self) -> int:
        """Return the size of what a roll-out keeps for the update; 0 if nothing."""


def reason_to_skip(backend: str) -> str | None:
    """Return why `backend` cannot run here, None if it can."""
    module = _NEEDS.get(backend, "train").partition(".models")[0]
    if importlib.util.find_spec(module) is not None:
        return None
    remedy = f": {_REMEDIES[module]}" if module in _REMEDIES else ""
    return f"`{module}` is not there{remedy}"


def preload(backend: str) -> None:
    """Import what `backend` needs, so that its modules do not count as its memory."""
    if backend in _NEEDS:
        importlib.import_module(_NEEDS[backend])


def settle(device: str) -> None:
    """Wait until `device` has done what it was told, so that a clock can be read."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def phase(seconds: float, n_tokens: int, *, measured: float = 1.0) -> dict[str, float]:
    """Return the figures of one phase, see `Backend.window`."""
    return {"tokens": n_tokens, "seconds": seconds, "measured": measured}

"""Lockstep: followers build the trainer of the main process and advance it together with it.

The main process does the whole command: it alone takes locks, writes files, prints and keeps
checkpoints. Where it drives a trainer that others can build, it sends them what builds it and the
state from which it begins, which may be that of a checkpoint, and then one word for each `advance`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol

from esarm_env.core.training.replicas import Replicas, replicated


class Trainer(Protocol):
    """What a loop needs: `advance` does one unit of work and returns a row of figures."""

    @property
    def n_done(self) -> int:
        """Units done so far."""

    @property
    def n_total(self) -> int:
        """Units in all; may shrink (early stopping)."""

    def advance(self) -> dict[str, float]:
        """Do one unit."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values that `load_state_dict` goes on from."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


Build = Callable[[], Trainer]
_END = "end"

_LED: ContextVar[Replicas | None] = ContextVar("processes that follow this one", default=None)


@contextlib.contextmanager
def leading(replicas: Replicas) -> Iterator[None]:
    """Let trainers that are driven inside be advanced by all `replicas`, who `follow`."""
    token = _LED.set(replicas)
    try:
        yield
    finally:
        _LED.reset(token)


def end_followers(code: int) -> None:
    """Let those who `follow` return `code`; none may be in the midst of a trainer."""
    replicas = _LED.get()
    if replicas is not None:
        replicas.from_main((_END, code, 0))


@contextlib.contextmanager
def advancing(trainer: Trainer, build: Build | None) -> Iterator[Callable[[], dict[str, float]]]:
    """Return what advances `trainer`, with the other processes where there are any.

    Args:
        trainer: Of this process, as far as it is.
        build: Makes the same trainer elsewhere: a function of a module, or a `partial` of one, with
            arguments that can be pickled. None trains here alone.
    """
    replicas = _LED.get()
    if replicas is None or build is None:
        yield trainer.advance
        return

    def advance() -> dict[str, float]:
        replicas.from_main(True)
        with replicated(replicas):
            row = trainer.advance()
        _level(trainer, replicas)
        return row

    import torch

    replicas.from_main((build, trainer.state_dict(), torch.get_num_threads()))
    yield advance
    replicas.from_main(False)


def follow(replicas: Replicas) -> int:
    """Advance what the main process advances, until it ends; return its exit code."""
    import torch

    while True:
        what, given, n_threads = replicas.from_main(None)
        if what == _END:
            return int(given)
        torch.set_num_threads(n_threads)
        trainer: Trainer = what()
        trainer.load_state_dict(given)
        while replicas.from_main(None):
            with replicated(replicas):
                trainer.advance()
            _level(trainer, replicas)


def _level(trainer: Trainer, replicas: Replicas) -> None:
    """Give all processes the main one's state where it differs, as unlike processors make it."""
    digests = replicas.gather(_digest(trainer.state_dict()))
    if any(digest != digests[0] for digest in digests):
        state = replicas.from_main(trainer.state_dict() if replicas.number == 0 else None)
        if replicas.number:
            trainer.load_state_dict(state)


def _digest(state: Any) -> str:
    """Return a digest of the tensors of a state."""
    import torch

    digest = hashlib.blake2b()
    waiting = [state]
    while waiting:
        each = waiting.pop()
        if isinstance(each, torch.Tensor):
            flat = each.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().data)
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
    return digest.hexdigest()

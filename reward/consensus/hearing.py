"""Memory of what a member heard: the same speech under the same condition is heard once.

A consensus member's transformer reads speech and condition alone, never the motion, and takes more
than half of a score's time. A policy that trains is scored on the same utterances over and over, so
what was heard is kept, by the content of what was given: no name of a task or of an utterance could
say as surely that it is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import nn

    from esarm_env.core.types import FloatArray

MOST_FLOATS = 8_000_000  # 32 MB: about 4000 utterances of 3 s at the default width

Hear = Callable[[Tensor, Tensor], Tensor]


class HeardSpeech:
    """What a network made of speech, dropped when its weights change; copies and pickles are empty.

    Only in inference mode and outside of training: gradients and dropout need a fresh pass.
    """

    def __init__(self, most_floats: int = MOST_FLOATS) -> None:
        """Keep at most `most_floats` numbers; the oldest go first."""
        self._most_floats, self._n_floats = most_floats, 0
        self._weights: tuple[tuple[int, int], ...] = ()
        self._heard: dict[bytes, FloatArray] = {}

    def __reduce__(self) -> tuple[type[HeardSpeech], tuple[int]]:
        return HeardSpeech, (self._most_floats,)

    def __call__(
        self, network: nn.Module, hear: Hear, audio: Tensor, condition: Tensor, n_chunks: Tensor
    ) -> Tensor:
        """Return `hear(audio, condition)` of each row alone, (B, C, H), 0 past its end.

        Args:
            network: Whose weights `hear` uses.
            hear: Pure function of audio and condition, causal over chunks.
            audio: Shape (B, C, A), 0 past the end.
            condition: Shape (B, D).
            n_chunks: Shape (B,), chunks that are not padding.
        """
        if network.training or not torch.is_inference_mode_enabled():
            return hear(audio, condition)
        parameters = list(_weights_of(network))
        if any(weight.is_inference() for weight in parameters):
            return hear(audio, condition)  # these do not tell when they change
        weights = tuple((w._version, w.data_ptr()) for w in parameters)
        if weights != self._weights:
            self._weights, self._n_floats, self._heard = weights, 0, {}
        counts = n_chunks.tolist()
        given = zip(audio.numpy(), condition.numpy(), counts, strict=True)
        keys = [_key(a[:n], c) for a, c, n in given]
        found = {key: self._heard[key] for key in keys if key in self._heard}
        fresh = {}
        for row, (key, n) in enumerate(zip(keys, counts, strict=True)):
            if key not in found:
                # Alone: what is heard in a batch has other last digits in every other batch, and
                # scores would depend on what a process has scored before.
                one = hear(audio[row : row + 1, :n], condition[row : row + 1])
                found[key] = fresh[key] = one[0].numpy()
        self._keep(fresh.items())
        some = found[keys[0]]
        heard = np.zeros((*audio.shape[:2], some.shape[-1]), dtype=some.dtype)
        for out, key, n in zip(heard, keys, counts, strict=True):
            out[:n] = found[key]
        return torch.from_numpy(heard)

    def _keep(self, fresh: Iterable[tuple[bytes, FloatArray]]) -> None:
        for key, values in fresh:
            self._heard[key] = values
            self._n_floats += values.size
        while self._n_floats > self._most_floats:
            self._n_floats -= self._heard.pop(next(iter(self._heard))).size


def _weights_of(network: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters of a network, in an order of its own.

    `parameters()` makes every one's name, which took longer than hashing what is heard.
    """
    waiting = [network]
    while waiting:
        module = waiting.pop()
        waiting += cast("list[nn.Module]", [m for m in module._modules.values() if m is not None])
        yield from (weight for weight in module._parameters.values() if weight is not None)


def _key(audio: FloatArray, condition: FloatArray) -> bytes:
    digest = hashlib.sha256(np.ascontiguousarray(audio).data)
    digest.update(np.ascontiguousarray(condition).data)
    return digest.digest()

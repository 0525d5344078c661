"""Parallel utterances: pairs with one speaker and sentence and two emotions, aligned in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.encoder.shape import STRIDE

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.encoder.data import ByUtterance


@dataclass(frozen=True)
class Pair:
    """Two utterances of a minibatch.

    Attributes:
        first: Index of an utterance.
        second: Index of another one.
        parallel: Whether they say the same with two emotions; else they just stand side by side.
    """

    first: int
    second: int
    parallel: bool


def draw_pairs(
    utterances: IntArray,
    groups: Sequence[IntArray],
    emotions: Sequence[str],
    *,
    rng: np.random.Generator,
) -> list[Pair]:
    """Return every utterance in one pair: parallel ones where there are any, the rest by chance.

    Args:
        utterances: Shape (N,), indices.
        groups: Parallel utterances; those outside `utterances` are left out.
        emotions: Of all utterances, by index.
        rng: Draws who meets whom, anew each epoch.
    """
    left = set(utterances.tolist())
    pairs = []
    for group in groups:
        members = [int(index) for index in rng.permutation(group) if int(index) in left]
        while members:
            first = members.pop()
            others = [i for i, one in enumerate(members) if emotions[one] != emotions[first]]
            if others:
                second = members.pop(others[0])
                pairs.append(Pair(first, second, parallel=True))
                left -= {first, second}
    rest = rng.permutation(sorted(left)).tolist()
    if len(rest) % 2:
        rest.append(rest[0])
    pairs += [Pair(a, b, parallel=False) for a, b in zip(rest[::2], rest[1::2], strict=True)]
    return pairs


def warp(source: FloatArray, target: FloatArray) -> IntArray:
    """Return, for each step of `target`, the step of `source` where the same is said.

    By dynamic time warping of the audio features (Sakoe and Chiba 1978, through librosa).

    Args:
        source: Shape (T, D), features at 30 fps.
        target: Shape (U, D).

    Returns:
        Shape (S,), the steps of `target` at 15 a second.
    """
    from librosa.sequence import dtw

    cost = (source**2).sum(1)[:, None] + (target**2).sum(1)[None] - 2 * source @ target.T  # (T, U)
    path = dtw(C=np.maximum(cost, 0), backtrack=True)[1][::-1]  # (n, 2), ascending
    frames = np.zeros(len(target), dtype=np.int64)
    frames[path[:, 1]] = path[:, 0]
    return frames[::STRIDE] // STRIDE


class Warps:
    """Warps of pairs, computed once each."""

    def __init__(self, features: ByUtterance) -> None:
        """Align by `features`, (T, D) by utterance."""
        self._features = features
        self._known: dict[tuple[int, int], IntArray] = {}

    def __call__(self, source: int, target: int) -> IntArray:
        """Return `warp` of two utterances."""
        key = (source, target)
        if key not in self._known:
            self._known[key] = warp(self._features[source], self._features[target])
        return self._known[key]

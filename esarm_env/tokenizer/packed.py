"""Decoding of many sequences laid end to end: no padding, and each convolution a few products.

Sequences that end together are of unlike length, and a padded batch computes every row to the
longest. Here all chunks stand in one column with gaps between them; a gap is as wide as the
farthest any layer sees, and is zeroed after every layer, as are the frames past an end where
sequences are padded (`VQStream.decode`, which this equals but for rounding). With one row per
frame, a convolution is a product of matrices per tap of its kernel.

Shape letters: N sequences, C chunks of all with gaps, T frames of all with gaps, H hidden width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esarm_env.core.types import IntArray
    from esarm_env.tokenizer.streams import SameConv, VQStream


# Columns up to which one product for all taps of a convolution is faster than one for each.
_NARROW = 64


@dataclass(frozen=True)
class Packing:
    """Places of sequences in one column of chunks.

    Attributes:
        starts: Shape (N,), where each begins.
        n_chunks: Shape (N,), how long each is.
        size: Chunks of the column, gaps among them.
    """

    starts: IntArray
    n_chunks: IntArray
    size: int

    @staticmethod
    def of(n_chunks: IntArray, *, gap: int) -> Packing:
        """Lay sequences of `n_chunks` (N,) end to end, with `gap` chunks between them."""
        starts = np.cumsum(n_chunks + gap) - n_chunks - gap
        return Packing(starts, n_chunks, int(starts[-1] + n_chunks[-1]))

    def chunks(self) -> IntArray:
        """Return the places of all sequences' chunks, one after the other, ascending."""
        return self._chunks

    @cached_property
    def _chunks(self) -> IntArray:
        offsets = np.arange(self.n_chunks.sum()) - np.repeat(
            np.cumsum(self.n_chunks) - self.n_chunks, self.n_chunks
        )
        places: IntArray = np.repeat(self.starts, self.n_chunks) + offsets
        return places

    def gaps(self, step: int = 1) -> Tensor:
        """Return the places in the gaps, in units of `step` to a chunk."""
        inside = np.zeros(self.size, dtype=np.bool_)
        inside[self.chunks()] = True
        return torch.from_numpy(np.flatnonzero(np.repeat(~inside, step)))


def gap_of(streams: Sequence[VQStream]) -> int:
    """Return how many chunks must lie between two sequences so that neither sees the other."""
    needed = 1
    for stream in streams:
        by_frame = [stream.decode_frames, stream.to_motion]
        by_frame += [block.spread for block in _blocks_of(stream)]
        frames = max(max(layer.look_back, layer.look_ahead) for layer in by_frame)
        chunks = max(stream.from_code.look_back, stream.from_code.look_ahead)
        needed = max(needed, chunks, -(-frames // stream.frames_per_chunk))
    return needed


def decode_packed(stream: VQStream, latent: Tensor, packing: Packing) -> Tensor:
    """Decode chunk vectors as `VQStream.decode` does, without gradients.

    Args:
        stream: Whose decoder it is.
        latent: Shape (C, code_dim), quantised chunk vectors, 0 in the gaps.
        packing: What stands where; its gaps are at least `gap_of` wide.

    Returns:
        Shape (T, D); frames in gaps are undefined.
    """
    step = stream.frames_per_chunk
    chunk_gaps, frame_gaps = packing.gaps(), packing.gaps(step)
    x = _gelu(_convolved(stream.from_code, latent)).index_fill_(0, chunk_gaps, 0)  # (C, H)
    x = _gelu(_spread(stream.decode_chunks, x, step)).index_fill_(0, frame_gaps, 0)  # (T, H)
    added = _gelu(_convolved(stream.decode_frames, x))
    x = x.add_(added.index_fill_(0, frame_gaps, 0))
    for block in _blocks_of(stream):
        seen = _gelu(_convolved(block.spread, functional.gelu(x)))
        added = functional.linear(seen, block.mix.weight[..., 0], block.mix.bias)
        x = x.add_(added.index_fill_(0, frame_gaps, 0))
    motion = _convolved(stream.to_motion, x)  # (T, D)
    if stream.linear_path:
        motion += stream.decode_linear(latent).view(motion.shape)
    return motion


def _blocks_of(stream: VQStream) -> list[Any]:
    return list(stream.decode_blocks)  # `ResidualBlock`, of which a `ModuleList` knows no more


def _gelu(x: Tensor) -> Tensor:
    return torch.ops.aten.gelu_(x)  # type: ignore[no-any-return]  # in place: there are no gradients


def _convolved(layer: SameConv, x: Tensor) -> Tensor:
    """Convolve the rows of x (T, n_in) as the layer does, (T, n_out)."""
    if layer.out_channels <= _NARROW:
        return _convolved_at_once(layer, x)
    padded = functional.pad(x, (0, 0, layer.look_back, layer.look_ahead))
    taps = _prepared(layer, _taps)
    dilation, bias = layer.dilation[0], layer.bias
    assert bias is not None, "every layer has one"
    out = torch.addmm(bias, padded[: len(x)], taps[0])
    for number in range(1, len(taps)):
        first = number * dilation
        out.addmm_(padded[first : first + len(x)], taps[number])
    return out


def _convolved_at_once(layer: SameConv, x: Tensor) -> Tensor:
    """Convolve as `_convolved` does: one product for all taps, whose columns are then moved."""
    width = _padded_width(layer.out_channels)
    told = x @ _prepared(layer, _side_by_side)  # (T, kernel * width)
    assert layer.bias is not None, "every layer has one"
    out = layer.bias.repeat(len(x), 1)
    for number, columns in enumerate(torch.split(told, width, dim=1)):
        part = columns[:, : layer.out_channels]
        ahead = number * layer.dilation[0] - layer.look_back  # row t is for row t - ahead
        n = max(0, len(x) - abs(ahead))
        if ahead < 0:
            out[-ahead:].add_(part[:n])
        else:
            out[:n].add_(part[ahead:])
    return out


def _padded_width(n: int) -> int:
    return -(-n // 16) * 16  # products of matrices as wide as a cache line are a quarter faster


def _side_by_side(weight: Tensor) -> Tensor:
    """Return the weight (n_out, n_in, kernel) with its taps side by side, 0 between them."""
    n_out, n_in, kernel = weight.shape
    wide = weight.new_zeros(n_in, kernel, _padded_width(n_out))
    wide[:, :, :n_out] = weight.permute(1, 2, 0)
    return wide.view(n_in, -1)


def _taps(weight: Tensor) -> Tensor:
    """Return the weight (n_out, n_in, kernel) of a convolution as (kernel, n_in, n_out)."""
    return weight.permute(2, 1, 0).contiguous()


def _by_frame(weight: Tensor) -> Tensor:
    """Return the weight (H, n_out, step) that turns a chunk into frames as (H, step * n_out)."""
    return weight.permute(0, 2, 1).reshape(len(weight), -1)


_Ready = tuple[Tensor, int, Tensor]  # a weight, its version, what was made of it
_READY: WeakKeyDictionary[nn.Module, _Ready] = WeakKeyDictionary()


def _prepared(layer: nn.Conv1d | nn.ConvTranspose1d, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Return `make` of the layer's weight, which is always the same, made once until it changes.

    Turning weights round takes a tenth of what decoding a handful of episodes does. The weight is
    held on to, so that no other one can come to lie at its address.
    """
    weight = layer.weight
    if weight.is_inference():
        return make(weight)  # it does not tell when it changes
    ready = _READY.get(layer)
    if ready is not None:
        seen, version, made = ready
        if version == weight._version and seen.data_ptr() == weight.data_ptr():
            return made
    made = make(weight.detach())
    _READY[layer] = (weight.detach(), weight._version, made)
    return made


def _spread(layer: nn.ConvTranspose1d, x: Tensor, step: int) -> Tensor:
    """Turn every chunk of x (C, H) into its `step` frames, (C * step, H)."""
    weight = _prepared(layer, _by_frame)  # (H, step * H)
    assert layer.bias is not None, "every layer has one"
    return (x @ weight).view(len(x) * step, -1).add_(layer.bias)

"""Preference model: how much raters like a face, chunk by chunk, by stream.

Shape letters: B animations, C chunks, F frames per chunk, S streams, H heads of the reward that is
corrected, M members, X features.

It is linear. A stream sees mean pose and mean speed of its own part of the face, left and right
together, and what the other heads of the reward say of it, for which raters may care more or less.
A few hundred answers do not teach a network more (`docs/howto/preferences.md` has figures); what is
linear in chunks is also what each chunk is credited with.

An animation is paid for its sum up to a bound that few judged animations of its condition (emotion,
intensity, speaker) reach: nobody said that what lies beyond is better still.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.core.types import MOUTH, N_CHANNELS, STREAMS, UPPER
from esarm_env.core.weights import load_module, save_weights
from esarm_env.face.names import ARKIT_NAMES, MOUTH_CHANNELS, UPPER_CHANNELS

KIND = "preference model"
CHANNELS = {MOUTH: MOUTH_CHANNELS, UPPER: UPPER_CHANNELS}


def movements_of(channels: tuple[int, ...]) -> list[str]:
    """Return the names of movements, left and right being one."""
    return sorted({_without_side(channel) for channel in channels})


def both_sides(channels: tuple[int, ...]) -> Tensor:
    """Return what takes the mean of left and right, shape (52, movements)."""
    movements = movements_of(channels)
    table = torch.zeros(N_CHANNELS, len(movements))
    for channel in channels:
        table[channel, movements.index(_without_side(channel))] = 1
    return table / table.sum(dim=0)


def _without_side(channel: int) -> str:
    return ARKIT_NAMES[channel].replace("Left", "").replace("Right", "")


class PreferenceModel(nn.Module):
    """How much raters like an animation; stands beside a reward model, see `CorrectedModel`.

    Attributes:
        weights: Of the features of each stream, (M, X) each; those of member 0 count, the others
            tell how sure they are.
        usual: What is taken off, (M, D + 1): the mean of the judged animations of a condition, as a
            linear function of it.
        gain: Of the sum, in units of the score that is corrected; 0 says nothing.
        bound: Of what is paid, in the same units.
        kept: Share of the score that is corrected in the corrected one: both have one scale, which
            the weights of penalties are made for.
        liked: What moves it among judged pairs, most first: features and their shares, negative
            where raters want less. Known after a fit; a model that is read from a file has none.
    """

    stream_names = STREAMS
    usual: Tensor
    gain: Tensor
    bound: Tensor
    kept: Tensor

    def __init__(self, *, members: int, condition_dim: int, frames: int, heads: int) -> None:
        """Build it, saying nothing, for chunks of `frames` frames and `heads` heads."""
        super().__init__()
        self.liked: tuple[tuple[str, float], ...] = ()
        self.n_members, self.frames, self.heads = members, frames, heads
        self.condition_dim = condition_dim
        self.sides = nn.ParameterDict(
            {
                name: nn.Parameter(both_sides(tuple(CHANNELS[name])), requires_grad=False)
                for name in STREAMS
            }
        )
        self.weights = nn.ParameterDict(
            {
                name: nn.Parameter(torch.zeros(members, 2 * table.shape[1] + heads))
                for name, table in self.sides.items()
            }
        )
        self.register_buffer("usual", torch.zeros(members, condition_dim + 1))
        self.register_buffer("gain", torch.zeros(()))
        self.register_buffer("bound", torch.ones(()))
        self.register_buffer("kept", torch.ones(()))

    def feature_names(self) -> list[str]:
        """Return a name for each feature, stream after stream."""
        names: list[str] = []
        for stream, channels in CHANNELS.items():
            movements = movements_of(tuple(channels))
            names += [*movements, *(f"speed of {name}" for name in movements)]
            names += [f"score of {stream} by head {number}" for number in range(self.heads)]
        return names

    def features(self, motion: Tensor, judged: Tensor) -> list[Tensor]:
        """Return what is seen of each chunk, (B, C, X), by stream; arguments as of `forward`."""
        frames = torch.unflatten(motion, -1, (self.frames, N_CHANNELS))  # (B, C, F, 52)
        flat = frames.flatten(1, 2)
        moved = functional.pad((flat[:, 1:] - flat[:, :-1]).abs(), (0, 0, 1, 0))
        pose, speed = frames.mean(dim=2), torch.unflatten(moved, 1, (-1, self.frames)).mean(dim=2)
        return [
            torch.cat([pose @ table, speed @ table, judged[:, :, s]], dim=-1)
            for s, table in enumerate(self.sides.values())
        ]

    def forward(
        self, motion: Tensor, condition: Tensor, n_chunks: Tensor, judged: Tensor
    ) -> Tensor:
        """Return what each member says by chunk and stream, (M, B, C, S), 0 past the end.

        A chunk's is its share of the animation's, which is the mean over its chunks.

        Args:
            motion: Shape (B, C, F * 52).
            condition: Shape (B, D).
            n_chunks: Shape (B,), chunks that are not padding.
            judged: What the other heads say of each chunk, (B, C, S, H), on the scale of an
                animation's score.
        """
        seen = self.features(motion, judged)
        said = torch.stack(
            [
                torch.einsum("bcx,mx->mbc", values, weights)
                for values, weights in zip(seen, self.weights.values(), strict=True)
            ],
            dim=-1,
        )
        inside = torch.arange(motion.shape[1]) < n_chunks[:, None]
        shares = (inside / n_chunks[:, None])[..., None]  # (B, C, 1)
        usual = (condition @ self.usual[:, 1:].mT).mT + self.usual[:, :1]  # (M, B)
        parts = (said - usual[:, :, None, None] / len(STREAMS)) * shares
        return self._paid(self.gain * parts, shares)

    def _paid(self, parts: Tensor, shares: Tensor) -> Tensor:
        """Bound what an animation's parts (M, B, C, S) add up to, and take that apart again.

        A function f of the sum u is shared as f'(u) part + (f(u) - f'(u) u) / (C S).
        """
        total = parts.sum(dim=(2, 3), keepdim=True)
        along = torch.tanh(total / self.bound)
        slope = 1 - along.square()
        rest = self.bound * along - slope * total
        return slope * parts + rest * shares / len(STREAMS)

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file."""
        sizes = {"members": self.n_members, "frames": self.frames, "heads": self.heads}
        sizes["condition_dim"] = self.condition_dim
        save_weights(path, self.state_dict(), kind=KIND, **sizes)


def load_preference(path: Path) -> PreferenceModel:
    """Read a model that `PreferenceModel.save` wrote, ready to score.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """
    return load_module(path, PreferenceModel, kind=KIND).requires_grad_(False)

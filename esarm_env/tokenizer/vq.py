"""Motion tokenizer: a quantising autoencoder each for mouth and upper face, coarse code first.

`VQMotionTokenizer` turns a chunk of frames into the codes of the mouth, coarse to fine, and then
those of the upper face. The two streams share one action space `Discrete(n_tokens)`; the slot
within the chunk says whose codebook a token means, and each stream may have another number of
codebooks. Discretisation after CodeTalker (Xing et al. 2023) and Bailando (Siyao et al. 2022).

Shape letters: B batch, T frames, C chunks, S slots, L tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from esarm_env.core.deprecation import renamed_keys
from esarm_env.core.hub.shareable import TOKENIZER, Shareable
from esarm_env.core.run_layout import TOKENIZER_FILE, TOKENIZER_WEIGHTS
from esarm_env.core.types import MOUTH, N_CHANNELS, UPPER, FloatArray, IntArray
from esarm_env.core.weights import from_sizes, load_module, save_weights, weights_digest
from esarm_env.face.names import MOUTH_CHANNELS, UPPER_CHANNELS
from esarm_env.tokenizer.components import principal_components
from esarm_env.tokenizer.packed import Packing, decode_packed, gap_of
from esarm_env.tokenizer.pieces import decode_pieces
from esarm_env.tokenizer.quantisers import code_vectors
from esarm_env.tokenizer.shape import SHARED_CODEBOOKS, TokenizerShape
from esarm_env.tokenizer.streams import VQStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from esarm_env.core.training.replicas import Part

CHANNELS = {MOUTH: MOUTH_CHANNELS, UPPER: UPPER_CHANNELS}
_PLACES = np.argsort([*MOUTH_CHANNELS, *UPPER_CHANNELS]).tolist()  # of channels beside each other
# Of a channel that hardly moves: its noise is not blown up to the size of speech.
_LEAST_SPREAD = 0.01


class VQMotionTokenizer(Shareable, nn.Module):
    """Motion tokenizer (`MotionTokenizer`) with one `VQStream` per part of the face."""

    shared_kind = TOKENIZER
    mean_pose: Tensor
    channel_scale: Tensor

    def __init__(self, shape: TokenizerShape, *, stored: bool = False) -> None:
        """Build untrained streams of the given `shape`.

        Args:
            shape: All sizes.
            stored: Whether trained weights are loaded into them, and they learn no further.
        """
        super().__init__()
        self.shape = shape
        self._streams = nn.ModuleDict(
            {
                name: VQStream(
                    len(channels), n_codebooks=shape.codebooks[name], shape=shape, stored=stored
                )
                for name, channels in CHANNELS.items()
            }
        )
        self.register_buffer("mean_pose", torch.zeros(N_CHANNELS))
        self.register_buffer("channel_scale", torch.ones(N_CHANNELS))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load weights; older versions did not scale channels, which is a scale of 1."""
        state_dict.setdefault(f"{prefix}channel_scale", torch.ones(N_CHANNELS))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def fit(self, motions: Sequence[FloatArray], metric: FloatArray) -> None:
        """Set what is measured on motions (T, 52) before training begins.

        The mean pose; the scale of channels, their spread, so that a brow that moves by a tenth is
        learned as soon as a jaw that opens wide; and the linear path, if there is one.

        Args:
            motions: Of the training split.
            metric: Shape (52, 52), the cost of errors in mm^2.
        """
        frames = np.concatenate(motions)
        mean, spread = frames.mean(axis=0), np.maximum(frames.std(axis=0), _LEAST_SPREAD)
        self.mean_pose.copy_(torch.from_numpy(mean))
        self.channel_scale.copy_(torch.from_numpy(spread))
        if not self.shape.linear_path:
            return
        for name, part in CHANNELS.items():
            own = [(motion[:, part] - mean[part]) / spread[part] for motion in motions]
            costs = metric[np.ix_(part, part)] * np.outer(spread[part], spread[part])
            encode, decode = principal_components(
                own, costs, frames_per_chunk=self.frames_per_chunk
            )
            self._stream(name).fit_linear_path(torch.from_numpy(encode), torch.from_numpy(decode))

    def _standardised(self, motion: Tensor) -> Tensor:
        return (motion - self.mean_pose) / self.channel_scale

    def _stream(self, name: str) -> VQStream:
        stream = self._streams[name]
        assert isinstance(stream, VQStream), "only these are put in"
        return stream

    @property
    def n_tokens(self) -> int:
        """Codes per codebook."""
        return self.shape.n_tokens

    @property
    def tokens_per_chunk(self) -> int:
        """Tokens that describe one chunk: both streams, all their codebooks."""
        return sum(self.shape.codebooks.values())

    @property
    def token_streams(self) -> tuple[str, ...]:
        """Stream of each token of a chunk, shape (tokens_per_chunk,): `mouth` or `upper`."""
        return tuple(name for name, count in self.shape.codebooks.items() for _ in range(count))

    @property
    def frames_per_chunk(self) -> int:
        """Frames of motion per chunk."""
        return self.shape.frames_per_chunk

    @property
    def look_ahead_chunks(self) -> int:
        """Chunks whose tokens must follow before a chunk's motion is final; 0 if causal."""
        return max(self._stream(name).look_ahead_chunks for name in CHANNELS)

    @property
    def look_back_chunks(self) -> int:
        """Chunks before one that its motion depends on."""
        return max(self._stream(name).look_back_chunks for name in CHANNELS)

    @property
    def look_ahead_frames(self) -> int:
        """The look-ahead of decoding in frames: so much later than written is motion final."""
        return self.look_ahead_chunks * self.frames_per_chunk

    def codebooks(self) -> FloatArray:
        """Return the code vectors by slot, shape (tokens_per_chunk, n_tokens, code_dim), copies.

        Slot `i` is the place of a token within its chunk: mouth before upper face, coarse before
        fine.
        """
        books = [code_vectors(self._stream(name).quantiser) for name in CHANNELS]
        return torch.cat(books).detach().numpy().astype(np.float32)

    def n_chunks(self, n_frames: int) -> int:
        """Return the number of chunks that cover `n_frames`."""
        return -(-n_frames // self.frames_per_chunk)

    @torch.inference_mode()
    def encode(self, motion: FloatArray) -> IntArray:
        """Encode motion (T, 52) to tokens (n_chunks * tokens_per_chunk,); the last frame pads."""
        if motion.ndim != 2 or motion.shape[1] != N_CHANNELS or len(motion) == 0:
            raise ValueError(f"`motion` must have shape (T, {N_CHANNELS}), got {motion.shape}")
        centred = self._whole_chunks(motion)
        codes = [self._stream(name).codes(centred[..., part]) for name, part in CHANNELS.items()]
        return torch.cat(codes, dim=-1).reshape(-1).numpy()  # (1, C, 4) -> (L,)

    @torch.inference_mode()
    def latents(self, motion: FloatArray) -> dict[str, Tensor]:
        """Return the chunk vectors of motion (T, 52) before quantisation, (C, code_dim) each."""
        centred = self._whole_chunks(motion)
        return {
            name: self._stream(name).encode(centred[..., part])[0]
            for name, part in CHANNELS.items()
        }

    def _whole_chunks(self, motion: FloatArray) -> Tensor:
        """Return motion (T, 52) standardised, (1, T', 52); its last frame fills up a chunk."""
        missing = self.n_chunks(len(motion)) * self.frames_per_chunk - len(motion)
        padded = torch.from_numpy(np.pad(motion, ((0, missing), (0, 0)), mode="edge"))
        return self._standardised(padded)[None]

    def decode(self, tokens: IntArray, *, n_codebooks: int | None = None) -> FloatArray:
        """Decode tokens (L,) to motion (L / tokens_per_chunk * frames_per_chunk, 52).

        Args:
            tokens: All tokens of whole chunks.
            n_codebooks: Only the coarsest so many of each stream are heeded; None means all. A
                tokenizer trained with quantiser dropout is made for that.
        """
        lengths = np.array([len(tokens)])
        motion: FloatArray = self.decode_batch(tokens[None], lengths, n_codebooks=n_codebooks)[0]
        return motion

    def decode_pieces(self, pieces: Iterable[IntArray]) -> Iterator[FloatArray]:
        """Decode tokens that come in pieces, each of whole chunks, to pieces of motion (T, 52).

        What is yielded is final: together it is what `decode` makes of all pieces joined. It
        comes `look_ahead_chunks` late, the rest at the end. Memory is that of a piece.
        """
        return decode_pieces(self, pieces)

    @torch.inference_mode()
    def decode_batch(
        self, tokens: IntArray, lengths: IntArray, *, n_codebooks: int | None = None
    ) -> FloatArray:
        """Decode tokens (N, L), padded with -1 after `lengths` (N,), to motion (N, T, 52).

        Frames past a row's end are undefined.

        Raises:
            ValueError: If a length is not a whole number of chunks, or a token has no code, or
                `n_codebooks` is below 1.
        """
        if n_codebooks is not None and n_codebooks < 1:
            raise ValueError(f"`n_codebooks` must be at least 1, got {n_codebooks}")
        per_chunk = self.tokens_per_chunk
        if (lengths % per_chunk).any() or (lengths < per_chunk).any():
            bad = lengths[(lengths % per_chunk != 0) | (lengths < per_chunk)][0]
            raise ValueError(
                f"`lengths` must be multiples of {per_chunk} (whole chunks), got {bad}"
            )
        if tokens.max(initial=0) >= self.n_tokens or tokens.min(initial=0) < -1:
            raise ValueError(
                f"`tokens` must be 0 to {self.n_tokens - 1} (-1 pads), "
                f"got {tokens.min()} to {tokens.max()}"
            )
        streams = [self._stream(name) for name in CHANNELS]
        n_chunks = lengths // per_chunk
        packing = Packing.of(n_chunks, gap=gap_of(streams))
        written = np.arange(tokens.shape[1]) < lengths[:, None]
        codes = torch.from_numpy(np.maximum(tokens, 0)[written].reshape(1, -1, per_chunk))
        places = torch.from_numpy(packing.chunks())
        by_stream = torch.split(codes, list(self.shape.codebooks.values()), dim=2)
        moved = []
        for stream, own in zip(streams, by_stream, strict=True):
            vectors = stream.vectors(own[..., :n_codebooks])[0]  # of the chunks alone
            latent = vectors.new_zeros(packing.size, vectors.shape[1]).index_copy_(
                0, places, vectors
            )
            moved.append(decode_packed(stream, latent, packing))
        frames = torch.cat(moved, dim=1).index_select(1, torch.tensor(_PLACES))  # (T, 52)
        frames = frames.mul_(self.channel_scale).add_(self.mean_pose)
        return self._unpacked(frames.clamp_(0, 1).numpy(), packing)

    def _unpacked(self, frames: FloatArray, packing: Packing) -> FloatArray:
        """Return the sequences of a packed column of frames as rows, (N, T, 52), 0 past an end."""
        step = self.frames_per_chunk
        width = int(packing.n_chunks.max()) * step
        motion = np.zeros((len(packing.starts), width, N_CHANNELS), dtype=np.float32)
        for row, start, count in zip(
            motion, packing.starts * step, packing.n_chunks * step, strict=True
        ):
            row[:count] = frames[start : start + count]
        return motion

    def decode_choices(self, choices: Tensor, lengths: IntArray) -> Tensor:
        """Decode choices among tokens to motion (N, T, 52), with a gradient to the choices.

        Args:
            choices: Shape (N, L, n_tokens). One-hot rows stand for tokens, and give the motion of
                `decode_batch`; others weigh the code vectors of their slot.
            lengths: Shape (N,), tokens of each row, whole chunks; frames past its end are
                undefined.
        """
        per_chunk = self.tokens_per_chunk
        n_chunks = torch.from_numpy(lengths // per_chunk)
        width = int(n_chunks.max())
        within = choices[:, : width * per_chunk]
        by_slot = within.reshape(len(choices), width, per_chunk, -1)  # (N, C, S, K)
        by_stream = torch.split(by_slot, list(self.shape.codebooks.values()), dim=2)
        vectors = [
            self._stream(name).mixed_vectors(own)
            for name, own in zip(CHANNELS, by_stream, strict=True)
        ]
        return self._motion(vectors, n_chunks)

    def _motion(self, vectors: Sequence[Tensor], n_chunks: Tensor) -> Tensor:
        """Return motion (N, T, 52) of each stream's chunk vectors (N, C, code_dim)."""
        n, width = vectors[0].shape[:2]
        motion = self.mean_pose.expand(n, width * self.frames_per_chunk, -1).clone()
        for (name, channels), own in zip(CHANNELS.items(), vectors, strict=True):
            moved = self._stream(name).decode(own, n_chunks) * self.channel_scale[channels]
            motion[..., channels] += moved
        return motion.clamp(0, 1)

    def reconstruct(
        self, motion: Tensor, *, drop_codebooks: bool = False, part: Part | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the differentiable reconstruction of motion (B, T, 52) and the commitment loss.

        Args:
            motion: Coefficients.
            drop_codebooks: Whether each stream leaves out a random number of its finest codebooks.
            part: Which rows of a minibatch these are, whose other processes have the rest; the
                commitment loss is that of all. None if they are all.
        """
        centred = self._standardised(motion)
        output = torch.zeros_like(motion)
        loss = motion.new_zeros(())
        for name, channels in CHANNELS.items():
            values, commitment = self._stream(name)(
                centred[..., channels], drop_codebooks=drop_codebooks, part=part
            )
            output[..., channels] = values
            loss = loss + commitment
        return output * self.channel_scale + self.mean_pose, loss

    def content_hash(self) -> str:
        """Return a hexadecimal digest of weights and sizes: equal ones mean equal tokens."""
        weights = self.state_dict()
        if bool((self.channel_scale == 1).all()):
            # Older versions knew none, and their digests are noted in checkpoints.
            del weights["channel_scale"]
        return weights_digest(weights, self.shape.known_sizes())

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file."""
        save_weights(path, self.state_dict(), kind="motion tokenizer", **self.shape.known_sizes())

    def write_shared(self, folder: Path) -> None:
        """Write the tokenizer's file, see `save_pretrained`."""
        self.save(folder / TOKENIZER_WEIGHTS)

    @classmethod
    def read_shared(cls, folder: Path, *args: Any, **more: Any) -> VQMotionTokenizer:
        """Read the tokenizer of a shared folder, see `from_pretrained`."""
        from esarm_env.core.hub.courier import first_file

        return load_tokenizer(first_file(folder, (TOKENIZER_WEIGHTS, TOKENIZER_FILE)), **more)

    def describe_shared(self) -> str:
        """Return a sentence on its sizes."""
        return (
            "Motion tokenizer of ESARM: 52 ARKit face curves to tokens and back, "
            f"{self.tokens_per_chunk} tokens for {self.frames_per_chunk} frames, out of "
            f"{self.n_tokens} codes each."
        )

    def tokenizer_told(self) -> str:
        """Return its own content hash."""
        return self.content_hash()


def load_tokenizer(path: Path) -> VQMotionTokenizer:
    """Read a tokenizer that `VQMotionTokenizer.save` wrote, ready to use.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(**noted: Any) -> VQMotionTokenizer:
        sizes = renamed_keys(noted, SHARED_CODEBOOKS, silent=True)
        return VQMotionTokenizer(from_sizes(TokenizerShape, sizes), stored=True)

    return load_module(path, build, kind="motion tokenizer")

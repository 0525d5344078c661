"""Motion tokenizer: residual-VQ autoencoders for mouth and upper face, coarse code first.

`VQStream` is one autoencoder over one part of the face: convolutions around a residual quantiser.
`VQMotionTokenizer` turns a chunk of frames into `[mouth coarse, mouth fine, upper coarse, upper
fine]`. The two streams share one action space `Discrete(n_tokens)`; the slot within the chunk says
whose codebook a token means. Discretisation after CodeTalker (Xing et al. 2023) and Bailando
(Siyao et al. 2022).

Shape letters: B batch, T frames, C chunks, D channels, H hidden width, L tokens.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import ResidualVQ

from esarm_env.core.types import MOUTH, N_CHANNELS, UPPER, FloatArray, IntArray
from esarm_env.core.weights import from_sizes, load_module, save_weights
from esarm_env.face.names import MOUTH_CHANNELS, UPPER_CHANNELS

CHANNELS = {MOUTH: MOUTH_CHANNELS, UPPER: UPPER_CHANNELS}


class VQStream(nn.Module):
    """Residual-VQ autoencoder of one part of the face.

    It maps motion (B, T, D) to codes (B, C, n_codebooks) and back, T = C * frames_per_chunk. The
    decoder sees neighbouring chunks, which joins chunks smoothly. Frames past a sequence's end are
    zeroed after every layer, so that padding never changes the rest.
    """

    def __init__(
        self,
        n_channels: int,
        *,
        frames_per_chunk: int,
        n_codes: int,
        n_codebooks: int,
        hidden: int,
        code_dim: int,
    ) -> None:
        """Build encoder, quantiser (van den Oord 2017; EMA, dead codes restart) and decoder."""
        super().__init__()
        self.frames_per_chunk = frames_per_chunk
        step = frames_per_chunk
        self.encode_frames = nn.Conv1d(n_channels, hidden, 5, padding=2)
        self.encode_chunks = nn.Conv1d(hidden, hidden, step, stride=step)
        self.to_code = nn.Conv1d(hidden, code_dim, 1)
        self.quantiser = ResidualVQ(
            dim=code_dim,
            codebook_size=n_codes,
            num_quantizers=n_codebooks,
            kmeans_init=True,
            kmeans_iters=10,
            decay=0.95,
            threshold_ema_dead_code=1,
            commitment_weight=1.0,
        )
        self.from_code = nn.Conv1d(code_dim, hidden, 3, padding=1)
        self.decode_chunks = nn.ConvTranspose1d(hidden, hidden, step, stride=step)
        self.decode_frames = nn.Conv1d(hidden, hidden, 5, padding=2)
        self.to_motion = nn.Conv1d(hidden, n_channels, 3, padding=1)

    def encode(self, motion: Tensor) -> Tensor:
        """Encode motion (B, T, D) to latent chunk vectors before quantisation, (B, C, code_dim)."""
        x = functional.gelu(self.encode_frames(motion.transpose(1, 2)))  # (B, H, T)
        x = functional.gelu(self.encode_chunks(x))  # (B, H, C)
        latent: Tensor = self.to_code(x)  # (B, code_dim, C)
        return latent.transpose(1, 2)

    def decode(self, latent: Tensor, n_chunks: Tensor | None = None) -> Tensor:
        """Decode chunk vectors (B, C, code_dim) to motion (B, T, D).

        Args:
            latent: Quantised chunk vectors.
            n_chunks: Shape (B,), chunks that are not padding; None means all.
        """
        chunk_mask = _mask(n_chunks, latent.shape[1])  # (B, 1, C)
        frame_mask = chunk_mask.repeat_interleave(self.frames_per_chunk, dim=2)  # (B, 1, T)
        x = latent.transpose(1, 2) * chunk_mask
        x = functional.gelu(self.from_code(x)) * chunk_mask  # (B, H, C)
        x = functional.gelu(self.decode_chunks(x)) * frame_mask  # (B, H, T)
        x = x + functional.gelu(self.decode_frames(x)) * frame_mask
        motion: Tensor = self.to_motion(x)  # (B, D, T)
        return motion.transpose(1, 2)

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (B, T, D) and the commitment loss."""
        quantised, _, loss = self.quantiser(self.encode(motion))
        return self.decode(quantised), loss.sum()

    @torch.inference_mode()
    def codes(self, motion: Tensor) -> Tensor:
        """Return the code indices of motion (B, T, D), shape (B, C, n_codebooks)."""
        indices: Tensor = self.quantiser(self.encode(motion))[1]
        return indices

    def vectors(self, codes: Tensor) -> Tensor:
        """Look codes (B, C, n_codebooks) up; return their chunk vectors (B, C, code_dim)."""
        vectors: Tensor = self.quantiser.get_output_from_indices(codes)
        return vectors


def _mask(n_chunks: Tensor | None, width: int) -> Tensor:
    if n_chunks is None:
        return torch.ones(1, 1, width)
    return (torch.arange(width) < n_chunks[:, None]).float()[:, None]


@dataclass(frozen=True)
class TokenizerShape:
    """Network sizes of a tokenizer.

    Attributes:
        n_tokens: Codes per codebook, the size of the action space.
        frames_per_chunk: Frames at 30 fps that one chunk covers.
        codebooks_per_stream: Residual codebooks per stream; 2 is coarse and fine.
        hidden: Width of the convolutions.
        code_dim: Width of a code vector.
    """

    n_tokens: int = 96
    frames_per_chunk: int = 4
    codebooks_per_stream: int = 2
    hidden: int = 128
    code_dim: int = 32

    def __post_init__(self) -> None:
        """Check that every size is at least 1."""
        for name, value in asdict(self).items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")


class VQMotionTokenizer(nn.Module):
    """Motion tokenizer (`MotionTokenizer`) with one `VQStream` per part of the face."""

    mean_pose: Tensor

    def __init__(self, shape: TokenizerShape) -> None:
        """Build untrained streams of the given `shape`."""
        super().__init__()
        self.shape = shape
        self._streams = nn.ModuleDict(
            {
                name: VQStream(
                    len(channels),
                    frames_per_chunk=shape.frames_per_chunk,
                    n_codes=shape.n_tokens,
                    n_codebooks=shape.codebooks_per_stream,
                    hidden=shape.hidden,
                    code_dim=shape.code_dim,
                )
                for name, channels in CHANNELS.items()
            }
        )
        self.register_buffer("mean_pose", torch.zeros(N_CHANNELS))

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
        return len(CHANNELS) * self.shape.codebooks_per_stream

    @property
    def token_streams(self) -> tuple[str, ...]:
        """Stream of each token of a chunk, shape (tokens_per_chunk,): `mouth` or `upper`."""
        return tuple(name for name in CHANNELS for _ in range(self.shape.codebooks_per_stream))

    @property
    def frames_per_chunk(self) -> int:
        """Frames of motion per chunk."""
        return self.shape.frames_per_chunk

    def codebooks(self) -> FloatArray:
        """Return the code vectors by slot, shape (tokens_per_chunk, n_tokens, code_dim), copies.

        Slot `i` is the place of a token within its chunk: mouth before upper face, coarse before
        fine.
        """
        books = [self._stream(name).quantiser.codebooks for name in CHANNELS]
        return torch.cat(books).detach().numpy().astype(np.float32)

    def n_chunks(self, n_frames: int) -> int:
        """Return the number of chunks that cover `n_frames`."""
        return -(-n_frames // self.frames_per_chunk)

    @torch.inference_mode()
    def encode(self, motion: FloatArray) -> IntArray:
        """Encode motion (T, 52) to tokens (n_chunks * tokens_per_chunk,); the last frame pads."""
        if motion.ndim != 2 or motion.shape[1] != N_CHANNELS or len(motion) == 0:
            raise ValueError(f"`motion` must have shape (T, {N_CHANNELS}), got {motion.shape}")
        missing = self.n_chunks(len(motion)) * self.frames_per_chunk - len(motion)
        padded = torch.from_numpy(np.pad(motion, ((0, missing), (0, 0)), mode="edge"))
        centred = (padded - self.mean_pose)[None]  # (1, T, 52)
        codes = [self._stream(name).codes(centred[..., part]) for name, part in CHANNELS.items()]
        return torch.cat(codes, dim=-1).reshape(-1).numpy()  # (1, C, 4) -> (L,)

    def decode(self, tokens: IntArray) -> FloatArray:
        """Decode tokens (L,) to motion (L / tokens_per_chunk * frames_per_chunk, 52)."""
        motion: FloatArray = self.decode_batch(tokens[None], np.array([len(tokens)]))[0]
        return motion

    @torch.inference_mode()
    def decode_batch(self, tokens: IntArray, lengths: IntArray) -> FloatArray:
        """Decode tokens (N, L), padded with -1 after `lengths` (N,), to motion (N, T, 52).

        Frames past a row's end are undefined.

        Raises:
            ValueError: If a length is not a whole number of chunks, or a token has no code.
        """
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
        n_chunks = torch.from_numpy(lengths // per_chunk)
        width = int(n_chunks.max())
        clean = np.maximum(tokens[:, : width * per_chunk], 0)
        codes = torch.from_numpy(clean.reshape(len(tokens), width, len(CHANNELS), -1))
        motion = self.mean_pose.expand(len(tokens), width * self.frames_per_chunk, -1).clone()
        for number, (name, part) in enumerate(CHANNELS.items()):
            stream = self._stream(name)
            motion[..., part] += stream.decode(stream.vectors(codes[:, :, number]), n_chunks)
        return motion.clamp(0, 1).numpy()

    def reconstruct(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return the differentiable reconstruction of motion (B, T, 52) and the commitment loss."""
        centred = motion - self.mean_pose
        output = torch.zeros_like(motion)
        loss = motion.new_zeros(())
        for name, part in CHANNELS.items():
            values, commitment = self._stream(name)(centred[..., part])
            output[..., part] = values
            loss = loss + commitment
        return output + self.mean_pose, loss

    def content_hash(self) -> str:
        """Return a hexadecimal digest of weights and sizes: equal ones mean equal tokens."""
        digest = hashlib.sha256(repr(asdict(self.shape)).encode())
        for name, value in self.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file."""
        save_weights(path, self.state_dict(), kind="motion tokenizer", **asdict(self.shape))


def load_tokenizer(path: Path) -> VQMotionTokenizer:
    """Read a tokenizer that `VQMotionTokenizer.save` wrote, ready to use.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(**sizes: int) -> VQMotionTokenizer:
        return VQMotionTokenizer(from_sizes(TokenizerShape, sizes))

    return load_module(path, build, kind="motion tokenizer")

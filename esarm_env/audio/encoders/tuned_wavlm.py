"""WavLM whose top layers learn beside the speech encoder, and the features that come of it.

The layers below stay frozen, and so does what depends on chance (dropout, dropped layers, masked
spectra): before its first step, a network that learns gives the features of the frozen one. Each
utterance goes through WavLM by itself, not padded to the longest of its minibatch: the first layer
of the base model normalises over time (group normalisation), so it hears padding behind any mask.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.audio.encoders.frames import FEATURE_BOUND, to_frame_rate
from esarm_env.audio.encoders.wavlm import encode_by, scaled
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ, n_frames_of
from esarm_env.core.weights import load_module, save_weights, weights_digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esarm_env.audio.encoders.wavlm import WavLM
    from esarm_env.core.types import DoubleArray, FloatArray

KIND = "fine-tuned WavLM"
# What shapes the network. A stranger's file may say no more: other settings of `transformers` name
# code that is fetched.
_SETTINGS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("hidden_act", "layer_norm_eps", "do_stable_layer_norm", "feat_extract_norm"),
    *("feat_extract_activation", "conv_dim", "conv_stride", "conv_kernel", "conv_bias"),
    *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "num_buckets"),
    *("max_bucket_distance", "mask_time_prob", "mask_feature_prob"),
)


class TunedWavLM(nn.Module):
    """WavLM as fine-tuning left it: an audio encoder that needs no other weights."""

    def __init__(self, model: Any, heard: Sequence[float] | int) -> None:
        """Take a network.

        Args:
            model: A `WavLMModel`.
            heard: Weights of all hidden states, which sum to 1, or which one is heard.
        """
        super().__init__()
        model.adapter, model.config.add_adapter = None, False  # behind all hidden states
        self.model = model.requires_grad_(False)
        self._heard = heard if isinstance(heard, int) else tuple(heard)

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return int(self.model.config.hidden_size)

    @cached_property
    def key(self) -> str:
        """Identify weights and layers by their digest, wherever the file lies."""
        return f"wavlm-tuned-v1-{weights_digest(self.state_dict(), self._sizes())}"

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, hidden_size) float32."""
        return encode_by(self.model, audio, self._shares)

    def save(self, path: Path) -> None:
        """Write the whole network to one `.safetensors` file."""
        save_weights(path, self.state_dict(), kind=KIND, **self._sizes())

    def _shares(self, n_states: int) -> DoubleArray | int:
        if isinstance(self._heard, int):
            return self._heard
        if len(self._heard) != n_states:
            raise InputError(f"`heard` must hold {n_states} weights, got {len(self._heard)}")
        return np.array(self._heard)

    def _sizes(self) -> dict[str, Any]:
        config = self.model.config.to_dict()
        settings = {name: config[name] for name in _SETTINGS}
        heard = self._heard if isinstance(self._heard, int) else list(self._heard)
        # As JSON gives it back, so that the digest is that of the loaded network, too.
        sizes: dict[str, Any] = json.loads(json.dumps({"settings": settings, "heard": heard}))
        return sizes


def load_tuned_wavlm(path: Path) -> TunedWavLM:
    """Read a network that `TunedWavLM.save` wrote, ready to use; nothing is fetched.

    Raises:
        InputError: If the file is missing, damaged, or something else.
        MissingExtraError: If `transformers` is not installed.
    """
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("transformers", extra="wavlm", purpose="The encoder `wavlm`")
    return load_module(path, _build, kind=KIND)


def _build(*, settings: dict[str, Any], heard: list[float] | int) -> TunedWavLM:
    from transformers import WavLMConfig, WavLMModel

    if set(settings) != set(_SETTINGS):
        raise ValueError(f"settings {sorted(set(settings) ^ set(_SETTINGS))} too many or missing")
    n_states = int(settings["num_hidden_layers"]) + 1
    shares = [heard] if isinstance(heard, int) else heard
    if isinstance(heard, int):
        fits = 0 <= heard < n_states
    else:
        fits = len(shares) == n_states and bool(np.isfinite(shares).all()) and min(shares) >= 0
    if not fits:
        raise ValueError(f"weights {heard} of {n_states} hidden states")
    return TunedWavLM(WavLMModel(WavLMConfig(**settings)), heard)


class LearningWavLM(nn.Module):
    """Top layers of WavLM, and the mixture of its hidden states where there is one, as they learn.

    Its state holds what learns alone; the frozen rest is that of the weights it was made from.

    Attributes:
        origin: Key of the frozen encoder that it was made from.
    """

    start: Tensor

    def __init__(self, wavlm: WavLM, *, n_layers: int) -> None:
        """Load the weights.

        Args:
            wavlm: The frozen encoder.
            n_layers: Transformer layers that learn: the topmost of those that are heard.

        Raises:
            InputError: If fewer layers are heard, or the weights are not there.
            MissingExtraError: If `transformers` is not installed.
        """
        super().__init__()
        model = wavlm.load().requires_grad_(False)
        self.origin = wavlm.key
        self._frozen = (model,)  # in a tuple, so that it is no part of the state
        layers = model.encoder.layers
        self.layers = layers[wavlm.learning(n_layers, len(layers))].requires_grad_(True)
        shares = wavlm.shares(len(layers) + 1)
        self._layer = shares if isinstance(shares, int) else None
        if not isinstance(shares, int):
            # A state of weight 0 stays unheard: its logarithm is minus infinity.
            weights = torch.from_numpy(shares).float()
            self.register_buffer("start", weights.log(), persistent=False)
            self.change = nn.Parameter(torch.zeros(len(weights)))
        self.eval()

    def forward(self, audio: Sequence[FloatArray], n_frames: Sequence[int]) -> Tensor:
        """Return features (B, T, hidden_size), zero-padded, of utterances.

        Args:
            audio: Samples at 16 kHz, (n_samples_i,) each.
            n_frames: Of their motion, which may be a frame or two longer or shorter: it decides.
        """
        rows = [self._features(each)[:count] for each, count in zip(audio, n_frames, strict=True)]
        short = [count - len(row) for row, count in zip(rows, n_frames, strict=True)]
        filled = [
            torch.cat([row, row[-1:].expand(missing, -1)])
            for row, missing in zip(rows, short, strict=True)
        ]
        return nn.utils.rnn.pad_sequence(filled, batch_first=True)

    def finished(self) -> TunedWavLM:
        """Return the network with the weights as they are now; they learn no more."""
        model = self._frozen[0]
        heard = self._layer if self._layer is not None else self._shares().double().tolist()
        return TunedWavLM(model, heard).eval()

    def _shares(self) -> Tensor:
        shares: Tensor = (self.start + self.change).softmax(0)
        return shares

    def _features(self, audio: FloatArray) -> Tensor:
        """Return the features (T, hidden_size) of an utterance, as `WavLM.encode`."""
        samples = torch.from_numpy(scaled(audio))[None]
        states = self._frozen[0](samples, output_hidden_states=True).hidden_states
        if self._layer is not None:
            mixed = states[self._layer][0]
        else:
            normed = [functional.layer_norm(state[0], state.shape[-1:]) for state in states]
            mixed = torch.einsum("n,nth->th", self._shares(), torch.stack(normed))
        # The resampling is linear: of the identity, it gives its own matrix.
        n_hops = len(mixed)
        rate_hz = n_hops / (len(audio) / SAMPLE_RATE_HZ)
        means = to_frame_rate(np.eye(n_hops, dtype=np.float32), rate_hz, n_frames_of(len(audio)))
        features: Tensor = torch.from_numpy(means).float() @ mixed
        return features.clamp(-FEATURE_BOUND, FEATURE_BOUND)

"""WavLM encoder (Chen et al. 2022): frozen hidden states of one layer, or a mixture of them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.audio.encoders.frames import FEATURE_BOUND, to_frame_rate
from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray, n_frames_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from esarm_env.core.types import DoubleArray


@dataclass(frozen=True)
class WavLM:
    """WavLM encoder (Chen et al. 2022): hidden states, resampled from 49.5 to 30 per second.

    Attributes:
        weights: A local folder in `transformers` format, or a hub name such as
            `microsoft/wavlm-base-plus` where the network allows it.
        layer: Which hidden state; -1 is the last.
        mixture: Weights of all hidden states, from the input of the first layer to the output of
            the last, at least 0 each, divided by their sum; an empty tuple weighs them alike. The
            states are layer-normalised first, or the last ones, ten times as large, would be all
            that is heard. None takes `layer` alone.
        fetch: Whether weights that are not on this machine may be fetched from the hub.

    Raises:
        InputError: If the mixture holds a negative number, nothing but zeros, or no number.
    """

    weights: str = "microsoft/wavlm-base-plus"
    layer: int = -1
    mixture: tuple[float, ...] | None = None
    fetch: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        """Check the mixture."""
        given = np.asarray(self.mixture or (1.0,), dtype=np.float64)
        if not (np.isfinite(given).all() and given.min() >= 0 and given.max() > 0):
            raise InputError(
                f"`mixture` must be weights of at least 0, not all 0, got {self.mixture}"
            )

    def check(self, *, finetune_layers: int = 0) -> None:
        """Check what can be told without loading the weights; nobody is asked for anything.

        Args:
            finetune_layers: How many transformer layers are to learn.

        Raises:
            InputError: If the name is no folder of WavLM weights and no name of a hub, or names
                weights that are not on this machine and cannot be fetched; or fewer layers are
                heard than are to learn.
            MissingExtraError: If `transformers` is not installed.
        """
        if importlib.util.find_spec("transformers") is None:
            raise MissingExtraError("transformers", extra="wavlm", purpose="The encoder `wavlm`")
        folder = Path(self.weights)
        is_hub_name = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", self.weights) is not None
        if not folder.is_dir() and (not self.fetch or (is_hub_name and _is_offline())):
            folder = _local_weights(self.weights, offline=self.fetch)
        if not folder.is_dir() and is_hub_name:
            return  # whether a hub has it, the hub knows
        try:
            settings = json.loads((folder / "config.json").read_bytes())
            kind = settings.get("model_type") if isinstance(settings, dict) else None
            if kind != "wavlm":
                raise ValueError(f"a model of type {kind!r}")
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else one_line(error)
            raise InputError(
                f"`encoder` must name a folder with a `config.json` of WavLM, or weights of a hub "
                f"(`ORGANISATION/MODEL`), got {self.weights!r} ({reason})"
            ) from error
        n_layers = settings.get("num_hidden_layers")
        if finetune_layers and isinstance(n_layers, int):
            self.learning(finetune_layers, n_layers)

    def learning(self, finetune_layers: int, n_layers: int) -> slice:
        """Return which of `n_layers` transformer layers learn: the topmost of those heard.

        Raises:
            InputError: If none is to learn, or more than are heard.
        """
        shares = self.shares(n_layers + 1)
        n_heard = shares if isinstance(shares, int) else int(np.flatnonzero(shares).max())
        if not 1 <= finetune_layers <= n_heard:
            raise InputError(
                f"`finetune_layers` must be at most {n_heard}, the transformer layers of WavLM "
                f"that are heard, got {finetune_layers}"
            )
        return slice(n_heard - finetune_layers, n_heard)

    @property
    def key(self) -> str:
        """Identify weights and layers; a local folder by its path, sizes and dates."""
        files = sorted(Path(self.weights).glob("*")) if Path(self.weights).is_dir() else []
        stats = [
            (str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files
        ]
        digest = hashlib.sha256(repr((self.weights, stats)).encode()).hexdigest()[:16]
        if self.mixture is None:
            return f"wavlm-v1-{digest}-{self.layer}"
        return f"wavlm-v1-{digest}-mixture-{','.join(f'{weight!r}' for weight in self.mixture)}"

    @property
    def dim(self) -> int:
        """Number of features per frame."""
        return int(self._model.config.hidden_size)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the network out, which cannot be pickled; another process loads it again."""
        return {name: value for name, value in vars(self).items() if name != "_model"}

    @cached_property
    def _model(self) -> Any:
        return self.load()

    def load(self) -> Any:
        """Return a `WavLMModel` of the weights, in evaluation mode; a new one each call.

        Raises:
            InputError: If they are not there; the message says what to download.
            MissingExtraError: If `transformers` is not installed.
        """
        try:
            from transformers import WavLMModel
        except ImportError as error:
            raise MissingExtraError(
                "transformers", extra="wavlm", purpose="The encoder `wavlm`"
            ) from error
        weights = self.weights if self.fetch else str(_local_weights(self.weights))
        try:
            model: Any = WavLMModel.from_pretrained(weights, local_files_only=not self.fetch)
            return model.eval()
        except (OSError, ValueError) as error:
            raise InputError(
                f"`weights` must be a WavLM folder or hub name, got {self.weights!r} "
                f"({str(error).splitlines()[0]}); download the configuration and the weights of "
                "https://huggingface.co/microsoft/wavlm-base-plus into a folder and name it as "
                "encoder `wavlm:FOLDER`, or use encoder `logmel` to do without"
            ) from error

    def encode(self, audio: FloatArray) -> FloatArray:
        """Turn (n_samples,) at 16 kHz into (T, hidden_size) float32."""
        return encode_by(self._model, audio, self.shares)

    def shares(self, n_states: int) -> DoubleArray | int:
        """Return what is heard of the hidden states: weights of all that sum to 1, or which one.

        Raises:
            InputError: If there are not as many states as the layer or the mixture asks for.
        """
        if self.mixture is None:
            if not -n_states <= self.layer < n_states:
                bounds = f"{-n_states}..{n_states - 1}"
                raise InputError(f"`layer` must be in {bounds}, got {self.layer}")
            return self.layer % n_states
        shares = np.asarray(self.mixture or (1.0,) * n_states, dtype=np.float64)
        if len(shares) != n_states:
            raise InputError(
                f"`mixture` must hold {n_states} weights, one a hidden state, got {len(shares)}"
            )
        normed: DoubleArray = shares / shares.sum()
        return normed


def encode_by(
    model: Any, audio: FloatArray, shares: Callable[[int], DoubleArray | int]
) -> FloatArray:
    """Turn (n_samples,) at 16 kHz into (T, hidden_size) float32 by a `WavLMModel`.

    Args:
        model: In evaluation mode.
        audio: Speech.
        shares: What is heard of so many hidden states, as of `WavLM.shares`.
    """
    import torch

    with torch.inference_mode():
        output = model(torch.from_numpy(scaled(audio))[None], output_hidden_states=True)
    states = [state[0].numpy() for state in output.hidden_states]
    heard = shares(len(states))
    if isinstance(heard, int):
        mixed = states[heard]
    else:
        parts = zip(heard, states, strict=True)
        mixed = np.asarray(sum(share * _layer_normed(state) for share, state in parts))
    # The true rate is taken from the lengths: counting on 50 per second drifts by 1 %.
    rate_hz = len(mixed) / (len(audio) / SAMPLE_RATE_HZ)
    frames = to_frame_rate(mixed, rate_hz, n_frames_of(len(audio)))
    return np.clip(frames, -FEATURE_BOUND, FEATURE_BOUND).astype(np.float32)


def scaled(audio: FloatArray) -> FloatArray:
    """Return samples (n_samples,) of mean 0 and spread 1, as WavLM was trained on."""
    normed: FloatArray = (audio - audio.mean()) / (audio.std() + 1e-7)
    return normed


def _layer_normed(state: FloatArray) -> FloatArray:
    centred = state - state.mean(axis=1, keepdims=True)
    normed: FloatArray = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)
    return normed


def _is_offline() -> bool:
    """Return whether the hub's package was told to ask nobody."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)


def _local_weights(name: str, *, offline: bool = False) -> Path:
    """Return the folder on this machine that holds the weights `name`; nobody is asked for it.

    Told to stay local, `transformers` still asks the hub who calls; so it never gets the name.

    Raises:
        InputError: If there is none.
    """
    from huggingface_hub import try_to_load_from_cache

    if Path(name).is_dir():
        return Path(name)
    try:
        found = try_to_load_from_cache(name, "config.json")
    except ValueError:  # a name that no hub has
        found = None
    if isinstance(found, str):
        return Path(found).parent
    if offline:
        raise InputError(
            "`encoder` must name WavLM weights on this machine while HF_HUB_OFFLINE is set, got "
            f"{name!r}; fetch them without it, or use `logmel`"
        )
    raise InputError(
        "`encoder` must be `logmel` or WavLM weights that are on this machine where a file names "
        f"them, got {name!r}; if you trust that name, fetch them with `esarm corpus --run RUN "
        f"--set corpus.encoder=wavlm:{name}`"
    )

"""WavLM that learns: the frozen one before its first step, and a file that stands for itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esarm_env.audio.encoders.frames import StreamingAudioEncoder
from esarm_env.audio.encoders.tuned_wavlm import LearningWavLM, load_tuned_wavlm
from esarm_env.audio.encoders.wavlm import WavLM
from esarm_env.core.errors import InputError
from esarm_env.core.weights import read_weights, save_weights

CHOICES: dict[str, dict[str, Any]] = {
    "last": {},
    "second": {"layer": 2},
    "mean": {"mixture": ()},
    "weighted": {"mixture": (0.0, 1.0, 2.0, 0.0)},
}


def frozen_encoder(folder: Path, choice: str) -> WavLM:
    """Return the tiny encoder with one of `CHOICES`."""
    return WavLM(str(folder), fetch=False, **CHOICES[choice])


def noises(*n_samples: int) -> list[np.ndarray]:
    """Return noise that gets louder, of each length."""
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=n) * np.linspace(0.1, 1, n) for n in n_samples]
    return [row.astype(np.float32) for row in rows]


@pytest.mark.parametrize("choice", CHOICES)
def test_before_its_first_step_it_gives_the_frozen_features(tiny_wavlm: Path, choice: str) -> None:
    """In a minibatch of other lengths, too: padding must not be heard, nor dropout act."""
    frozen = frozen_encoder(tiny_wavlm, choice)
    audio = noises(20_000, 7000, 5333)
    expected = [frozen.encode(each) for each in audio]
    counts = [len(expected[0]), len(expected[1]) - 2, len(expected[2]) + 2]
    features = LearningWavLM(frozen, n_layers=1)(audio, counts)
    assert features.shape == (3, counts[0], 16)
    found = features.detach().numpy()
    np.testing.assert_allclose(found[0], expected[0], atol=2e-5)
    np.testing.assert_allclose(found[1, : counts[1]], expected[1][: counts[1]], atol=2e-5)
    np.testing.assert_allclose(found[2, : counts[2] - 2], expected[2], atol=2e-5)
    # Motion may be longer than its audio: the last frame is repeated, as in the feature store.
    np.testing.assert_array_equal(found[2, counts[2] - 1], found[2, counts[2] - 3])
    assert not found[1, counts[1] :].any()
    assert not found[2, counts[2] :].any()


@pytest.mark.parametrize(("choice", "n_layers", "learn"), [("last", 1, {2}), ("second", 2, {0, 1})])
def test_the_topmost_layers_that_are_heard_learn(
    tiny_wavlm: Path, choice: str, n_layers: int, learn: set[int]
) -> None:
    """Layers above those heard would get no gradient, and nobody would see that nothing learns."""
    wavlm = LearningWavLM(frozen_encoder(tiny_wavlm, choice), n_layers=n_layers)
    before = {name: value.clone() for name, value in wavlm._frozen[0].state_dict().items()}
    optimizer = torch.optim.SGD(wavlm.parameters(), lr=0.1)
    torch.autograd.backward(wavlm(noises(6000), [10]).square().sum())
    optimizer.step()
    changed = {
        name
        for name, value in wavlm._frozen[0].state_dict().items()
        if not torch.equal(value, before[name])
    }
    found = {int(match[1]) for name in changed if (match := re.match(r"encoder.layers.(\d)", name))}
    assert found == learn
    assert all(name.startswith("encoder.layers.") for name in changed)


def test_the_mixture_learns_and_what_is_unheard_stays_so(tiny_wavlm: Path) -> None:
    """Weights that sum to 1; a state that was given weight 0 is none of the choice."""
    wavlm = LearningWavLM(frozen_encoder(tiny_wavlm, "weighted"), n_layers=2)
    torch.autograd.backward(wavlm(noises(6000), [10])[..., 0].sum())
    torch.optim.SGD(wavlm.parameters(), lr=1.0).step()
    shares = np.array(wavlm.finished()._heard)
    assert shares[[0, 3]].tolist() == [0, 0]
    assert abs(shares[1] - 1 / 3) > 1e-4
    assert shares.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("choice", "n_layers", "most"), [("second", 3, 2), ("last", 4, 3)])
def test_more_layers_than_are_heard_are_refused(
    tiny_wavlm: Path, choice: str, n_layers: int, most: int
) -> None:
    """Fewer would learn than were asked for."""
    message = (
        f"`finetune_layers` must be at most {most}, the transformer layers of WavLM that are heard,"
        f" got {n_layers}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        LearningWavLM(frozen_encoder(tiny_wavlm, choice), n_layers=n_layers)


def test_weights_that_are_missing_say_what_to_download(tmp_path: Path) -> None:
    """It is the frozen part that is fetched; a test never does."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wavlm"}))
    message = "https://huggingface.co/microsoft/wavlm-base-plus into a folder and name it as"
    with pytest.raises(InputError, match=re.escape(message)):
        LearningWavLM(WavLM(str(tmp_path), fetch=False), n_layers=1)


def learned(folder: Path, choice: str) -> Any:
    """Return the network after a step."""
    wavlm = LearningWavLM(frozen_encoder(folder, choice), n_layers=2)
    torch.autograd.backward(wavlm(noises(6000), [10])[..., 0].sum())
    torch.optim.SGD(wavlm.parameters(), lr=0.5).step()
    return wavlm.finished()


@pytest.mark.parametrize("choice", ["last", "weighted"])
def test_a_file_stands_for_itself(tiny_wavlm: Path, tmp_path: Path, choice: str) -> None:
    """A run that is copied to another machine has no other weights there."""
    tuned = learned(tiny_wavlm, choice)
    (audio,) = noises(9000)
    assert (
        np.abs(tuned.encode(audio) - frozen_encoder(tiny_wavlm, choice).encode(audio)).max() > 0.01
    )
    tuned.save(tmp_path / "wavlm.safetensors")
    again = load_tuned_wavlm(tmp_path / "wavlm.safetensors")
    assert (again.key, again.dim) == (tuned.key, 16)
    np.testing.assert_array_equal(again.encode(audio), tuned.encode(audio))
    assert not isinstance(again, StreamingAudioEncoder)


def test_other_weights_have_another_key(tiny_wavlm: Path) -> None:
    """Equal keys would serve the features of one training as those of another."""
    keys = {learned(tiny_wavlm, choice).key for choice in ("last", "weighted")}
    keys.add(LearningWavLM(frozen_encoder(tiny_wavlm, "last"), n_layers=2).finished().key)
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"heard": 4}, "weights 4 of 4 hidden states"),
        ({"heard": [0.5, 0.5]}, "weights [0.5, 0.5] of 4 hidden states"),
        ({"settings": {"attn_implementation": "a/kernel"}}, "'attn_implementation'"),
        ({"settings": {"hidden_act": "none"}}, "none"),
        ({"settings": {"hidden_size": 10**9}}, "larger network"),
    ],
)
def test_a_strangers_file_is_refused(
    tiny_wavlm: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    """It must name no code to fetch, and no network without weights."""
    path = tmp_path / "wavlm.safetensors"
    learned(tiny_wavlm, "last").save(path)
    sizes, tensors = read_weights(path)
    settings = sizes["settings"] | changes.get("settings", {})
    save_weights(path, tensors, **(sizes | changes | {"settings": settings}))
    with pytest.raises(InputError, match=re.escape("must be a whole fine-tuned WavLM file")) as bad:
        load_tuned_wavlm(path)
    assert reason in str(bad.value)

"""Audio features: on time at 30 frames a second, and the same for a loud and a quiet voice."""

from __future__ import annotations

import functools
import re
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from esarm_env.audio.encoders.frames import FEATURE_BOUND, to_frame_rate
from esarm_env.audio.features import LogMel, WavLM, check_encoder, make_encoder
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ, n_frames_of

ENCODERS = "logmel, logmel-running, wavlm, wavlm:FOLDER, wavlm@LAYERS, phones or phones+logmel"
LENGTHS = [3200, 5333, 5334, 16_000, 16_001, 40_000]
LOUDNESS, VOICING, PITCH = -3, -2, -1  # the last three columns


def voice(duration_s: float, pitch_hz: float) -> np.ndarray:
    """Return a steady harmonic tone with a little breath."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 12))
    breath = np.random.default_rng(0).normal(0, 0.003, len(time_s))
    return (0.2 * tone + breath).astype(np.float32)


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_log_mel_has_a_row_for_every_frame(n_samples: int) -> None:
    """One row less than frames, and the store would shift or repeat features in silence."""
    features = LogMel().encode(voice(3, 200)[:n_samples])
    assert features.shape == (n_frames_of(n_samples), LogMel().dim) == (len(features), 35)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= FEATURE_BOUND


def test_log_mel_does_not_hear_the_gain() -> None:
    """Otherwise the policy learns the microphone; 0.1 is 20 dB, one whole unit."""
    audio = voice(1.5, 180)
    audio[:8000] *= np.linspace(0.05, 1, 8000, dtype=np.float32)
    loud, quiet = LogMel().encode(audio), LogMel().encode(0.1 * audio)
    np.testing.assert_allclose(quiet, loud, atol=1e-2)


@pytest.mark.parametrize("pitch_hz", [90.0, 150.0, 220.0, 400.0])
def test_pitch_is_in_octaves_from_150_hz(pitch_hz: float) -> None:
    """A wrong octave or unit would still look like a melody."""
    middle = LogMel().encode(voice(1, pitch_hz))[5:-5]
    assert middle[:, VOICING].min() > 0.99, "a steady voice must count as voiced"
    np.testing.assert_allclose(middle[:, PITCH], np.log2(pitch_hz / 150), atol=0.05)


def noise(lowest_hz: float, highest_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Return a second of noise that sounds between the two frequencies only."""
    spectrum = np.fft.rfft(rng.normal(size=16_000))
    at_hz = np.arange(len(spectrum))
    spectrum[(at_hz < lowest_hz) | (at_hz > highest_hz)] = 0
    samples = np.fft.irfft(spectrum)
    return (0.1 * samples / samples.std()).astype(np.float32)


@pytest.mark.parametrize("band_hz", [(0, 8000), (4000, 7500), (2000, 4000), (500, 1500)])
def test_noise_has_no_pitch(band_hz: tuple[float, float], rng: np.random.Generator) -> None:
    """A pitch invented for f, s, sh or a whisper would drive the brows."""
    features = LogMel().encode(noise(*band_hz, rng))
    unvoiced = features[:, VOICING] == 0
    assert not features[unvoiced, PITCH].any(), "pitch must be 0 where nothing is voiced"
    assert features[:, VOICING].mean() < 0.05


def test_voicing_tells_a_vowel_from_a_hiss(rng: np.random.Generator) -> None:
    """Equally loud, half a second each: only what repeats is voiced."""
    vowel = voice(0.5, 130)
    hiss = rng.normal(0, vowel.std(), len(vowel)).astype(np.float32)
    voicing = LogMel().encode(np.concatenate([hiss, vowel]))[:, VOICING]
    assert voicing[:13].max() == 0
    assert voicing[17:].min() == 1


@pytest.mark.parametrize("onset_frame", [12, 20, 37])
def test_an_onset_stands_in_its_frame(onset_frame: int) -> None:
    """Lips that close two frames late are seen by everyone; loss curves do not show it."""
    audio = np.random.default_rng(0).normal(0, 1e-4, 32_000).astype(np.float32)
    begin = round(onset_frame / 30 * SAMPLE_RATE_HZ)
    audio[begin:] += voice(2, 200)[begin:]
    loudness = LogMel().encode(audio)[:, LOUDNESS]
    assert abs(int(np.argmax(np.diff(loudness))) + 1 - onset_frame) <= 1
    assert loudness[: onset_frame - 1].max() < -1.5, "30 dB quieter before the onset"
    assert loudness[onset_frame + 1 :].min() > -0.5, "at the speech level after it"


@pytest.mark.parametrize("frame", [0, 1, 15, 29])
def test_an_impulse_stands_in_its_frame(frame: int) -> None:
    """The first and the last frame are where a resampler goes wrong."""
    audio = np.random.default_rng(0).normal(0, 1e-3, 16_000).astype(np.float32)
    at = round(frame / 30 * SAMPLE_RATE_HZ)
    audio[at : at + 80] += 0.5
    loudness = LogMel().encode(audio)[:, LOUDNESS]
    assert abs(int(np.argmax(loudness)) - frame) <= 1


def test_silence_gives_finite_features() -> None:
    """The logarithm of nothing must not reach the network."""
    features = LogMel().encode(np.zeros(16_000, np.float32))
    assert np.isfinite(features).all()


@pytest.mark.parametrize(
    ("n_hops", "rate_hz", "n_frames"),
    [
        (70, 49.5, 20),
        (70, 100.0, 20),
        (101, 100.0, 31),  # the last frame ends past the last hop
        (49, 48.997, 31),  # so, and it begins within that hop
    ],
)
def test_frames_average_what_falls_within_them(
    n_hops: int, rate_hz: float, n_frames: int, rng: np.random.Generator
) -> None:
    """Against the plain definition: hop k is the signal on [k - 1/2, k + 1/2), in hops.

    Each hop is repeated finely, and each frame is the mean over its own thirtieth of a second,
    centred; where that leaves the recording, over the part inside.
    """
    columns, fine = rng.normal(size=(n_hops, 2)), 1000
    frames = to_frame_rate(columns, rate_hz, n_frames)
    signal = np.repeat(columns, fine, axis=0)
    at = -0.5 + (np.arange(len(signal)) + 0.5) / fine  # where each row stands, in hops
    for frame in range(n_frames):
        begin, end = ((frame + shift) / 30 * rate_hz for shift in (-0.5, 0.5))
        span = signal[(begin <= at) & (at < end)]
        np.testing.assert_allclose(frames[frame], span.mean(axis=0), atol=5e-3)


def test_resampling_keeps_the_mean(rng: np.random.Generator) -> None:
    """Weighed by their spans, frames must sum to what the hops sum to.

    A frame is 10/3 hops. Hop 0 begins half a hop before the middle of frame 0, which so has half a
    frame and half a hop; the 29 frames that follow are whole, and the last one has what is left.
    """
    columns = rng.normal(size=(100, 3))
    frames = to_frame_rate(columns, 100.0, 31)
    first, whole = 10 / 6 + 0.5, 10 / 3
    weights = np.array([first, *[whole] * 29, 100 - first - 29 * whole]) / 100
    np.testing.assert_allclose(weights @ frames, columns.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(to_frame_rate(np.ones((100, 1)), 100.0, 30), 1)


def test_a_frame_past_the_last_hop_sees_the_last_hop() -> None:
    """An average over nothing is nan."""
    frames = to_frame_rate(np.arange(10.0)[:, None], 100.0, 5)  # the fifth starts at 117 ms
    assert np.isfinite(frames).all()
    assert frames[4] == pytest.approx(9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a WavLM of 16 hidden units, untrained."""
    import torch
    from transformers import WavLMConfig, WavLMModel

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("weights") / "tiny-wavlm"
    WavLMModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_wavlm_has_a_row_for_every_frame(weights: Path, n_samples: int) -> None:
    """WavLM gives 49.5 vectors a second, not 50 and not 30."""
    encoder = WavLM(str(weights))
    features = encoder.encode(voice(3, 200)[:n_samples])
    assert features.shape == (n_frames_of(n_samples), encoder.dim) == (len(features), 16)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= FEATURE_BOUND


def test_wavlm_takes_the_layer_asked_for(weights: Path) -> None:
    """The last layer is the worst for prosody; a layer ignored would never be noticed."""
    audio = voice(1, 200)
    last, first = (WavLM(str(weights), layer=layer).encode(audio) for layer in (-1, 0))
    assert np.abs(last - first).max() > 0.01
    np.testing.assert_array_equal(WavLM(str(weights), layer=2).encode(audio), last)
    np.testing.assert_array_equal(WavLM(str(weights)).encode(audio), last)


def layer_normed(state: np.ndarray) -> np.ndarray:
    """Return each row with mean 0 and deviation 1, by the definition."""
    return np.stack([(row - row.mean()) / np.sqrt(row.var() + 1e-5) for row in state])


@pytest.mark.parametrize(
    ("mixture", "shares"),
    [((), (1 / 3, 1 / 3, 1 / 3)), ((0.0, 3.0, 1.0), (0, 0.75, 0.25)), ((0, 0, 2), (0, 0, 1))],
)
def test_wavlm_mixes_its_layers(
    weights: Path, mixture: tuple[float, ...], shares: tuple[float, ...]
) -> None:
    """Weights that do not sum to 1 would make features louder; one forgotten layer goes unseen."""
    import torch
    from transformers import WavLMModel

    audio = voice(1, 200)
    model = WavLMModel.from_pretrained(weights).eval()
    scaled = (audio - audio.mean()) / (audio.std() + 1e-7)
    with torch.inference_mode():
        output = model(torch.from_numpy(scaled)[None], output_hidden_states=True)
    states = [state[0].numpy() for state in output.hidden_states]
    expected = sum(share * layer_normed(state) for share, state in zip(shares, states, strict=True))
    frames = to_frame_rate(expected, len(states[0]), n_frames_of(len(audio)))
    np.testing.assert_allclose(
        WavLM(str(weights), mixture=mixture).encode(audio), frames, atol=1e-4
    )


def test_layers_that_wavlm_has_not_are_rejected(weights: Path) -> None:
    """An IndexError does not say how many there are."""
    rule = "`layer` must be in -3..2, got 3"
    with pytest.raises(InputError, match=re.escape(rule)):
        WavLM(str(weights), layer=3).encode(voice(1, 200))
    rule = "`mixture` must hold 3 weights, one a hidden state, got 2"
    with pytest.raises(InputError, match=re.escape(rule)):
        WavLM(str(weights), mixture=(1.0, 2.0)).encode(voice(1, 200))


@pytest.mark.parametrize("mixture", [(0.0, 0.0), (-1.0, 2.0), (float("nan"), 1.0), (np.inf, 1.0)])
def test_mixtures_that_weigh_nothing_are_rejected(mixture: tuple[float, ...]) -> None:
    """Division by their sum would make every feature nan."""
    rule = f"`mixture` must be weights of at least 0, not all 0, got {mixture}"
    with pytest.raises(InputError, match=re.escape(rule)):
        WavLM(mixture=mixture)


@pytest.mark.parametrize("name", ["wavlm@", "wavlm@x", "wavlm@1.5", "wavlm@1,", "wavlm@a,b:/data"])
def test_layers_that_are_no_numbers_are_rejected(name: str) -> None:
    """Read as the last layer, a slip of the hand would never be noticed."""
    rule = "`encoder` must name a layer (wavlm@6), weights of all (wavlm@0,0.5,0.5) or `mean`"
    with pytest.raises(InputError, match=re.escape(rule)) as caught:
        make_encoder(name)
    assert str(caught.value).endswith(f"behind the @, got {name!r}")


def test_wavlm_does_not_hear_the_gain(weights: Path) -> None:
    """WavLM was trained on normalised speech."""
    loud, quiet = (WavLM(str(weights)).encode(gain * voice(1, 200)) for gain in (1.0, 0.1))
    np.testing.assert_allclose(quiet, loud, atol=1e-3)


def test_missing_weights_are_rejected(tmp_path: Path) -> None:
    """Without a network the way out is the other encoder, so the message names it."""
    rule = f"`weights` must be a WavLM folder or hub name, got {str(tmp_path)!r}"
    with pytest.raises(InputError, match=re.escape(rule)) as caught:
        WavLM(str(tmp_path)).encode(voice(1, 200))
    assert "use encoder `logmel` to do without" in str(caught.value)
    assert "download the configuration and the weights of https://huggingface.co/" in str(
        caught.value
    )


def test_names_give_encoders() -> None:
    """A name that silently means another encoder would fill the cache with wrong features."""
    assert make_encoder("logmel") == LogMel()
    assert make_encoder("wavlm") == WavLM("microsoft/wavlm-base-plus")
    assert make_encoder("wavlm:/data/wavlm") == WavLM("/data/wavlm")
    assert make_encoder("wavlm:C:/data") == WavLM("C:/data"), "a drive's colon belongs to the path"
    assert make_encoder("wavlm@6") == WavLM(layer=6)
    assert make_encoder("wavlm@-2:/data/a@b") == WavLM("/data/a@b", layer=-2)
    assert make_encoder("wavlm@mean") == WavLM(mixture=())
    assert make_encoder("wavlm@0,.5,1:/data") == WavLM("/data", mixture=(0.0, 0.5, 1.0))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mfcc",
        "LogMel",
        "logmel:64",
        "phone",
        "phones+wavlm",
        "logmel+phones",
        "phones:x",
        "phones:1.7'; rm -r ~; '",
    ],
)
def test_unknown_encoders_are_rejected(name: str) -> None:
    """The message lists what there is."""
    message = f"`encoder` must be {ENCODERS}, got {name!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        make_encoder(name)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LogMel(), LogMel(n_mels=40)),
        (LogMel(), WavLM()),
        (WavLM(), WavLM(layer=6)),
        (WavLM(), WavLM(mixture=())),
        (WavLM(mixture=()), WavLM(mixture=(1.0,))),
        (WavLM(mixture=(0.5, 1.0)), WavLM(mixture=(1.0, 0.5))),
        (WavLM("/a/wavlm"), WavLM("/a/other")),
        (WavLM("/a/wavlm"), WavLM("/b/wavlm")),
        (LogMel(), LogMel(hop=80)),
        (LogMel(), LogMel(window=1024)),
    ],
)
def test_other_settings_have_another_key(first: LogMel | WavLM, second: LogMel | WavLM) -> None:
    """Equal keys would serve one encoder's cached features as the other's."""
    assert first.key != second.key


def test_a_key_stays_the_same() -> None:
    """A key that a restart changes computes everything again."""
    assert LogMel().key == LogMel().key == "logmel-v2-32-160-512"
    assert WavLM("/a/wavlm", layer=6).key == WavLM("/a/wavlm", layer=6).key


def test_new_weights_in_an_old_folder_have_another_key(tmp_path: Path) -> None:
    """A fine-tuned model saved over the first must not be served the first one's features."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"first")
    keys = [WavLM(str(tmp_path)).key]
    file.write_bytes(b"second one")
    keys.append(WavLM(str(tmp_path)).key)
    assert WavLM(str(tmp_path)).key == keys[1] != keys[0]


def test_weights_that_a_file_names_are_never_fetched(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's run would choose what is asked for, and learn who looks at it."""
    asked: list[str] = []

    def refuse(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("wavlm:attacker/model", "wavlm", "wavlm:no such: name", "wavlm:../../no"):
        rule = "`encoder` must be `logmel` or WavLM weights that are on this machine where a file"
        with pytest.raises(InputError, match=re.escape(rule)):
            _ = make_encoder(name, fetch=False).dim
    assert make_encoder(f"wavlm:{weights}", fetch=False).dim == 16
    assert asked == []


def test_weights_that_were_fetched_before_are_found(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with fetched weights must animate where there is no network."""
    import huggingface_hub

    folder = tmp_path / "models--me--tiny"
    shutil.copytree(weights, folder / "snapshots" / "1")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("1")
    find = functools.partial(huggingface_hub.try_to_load_from_cache, cache_dir=tmp_path)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", find)
    assert make_encoder("wavlm:me/tiny", fetch=False).dim == 16


def test_weights_are_looked_for_before_they_are_loaded(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt folder was told after the minutes in which a corpus is made."""
    import huggingface_hub.constants

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a hub was asked"))
    check_encoder("logmel")
    check_encoder(f"wavlm:{weights}")
    check_encoder(f"wavlm:{weights}", fetch=False)
    check_encoder("wavlm:me/tiny")  # whether a hub has it, the hub knows
    (tmp_path / "other").mkdir()
    for name in ("none", str(tmp_path / "none"), "../none", "a b/c", str(tmp_path / "other")):
        rule = "`encoder` must name a folder with a `config.json` of WavLM, or weights of a hub"
        with pytest.raises(InputError, match=re.escape(rule)):
            check_encoder(f"wavlm:{name}")
    for content in ('{"model_type": "bert"}', "[]", "no json"):
        (tmp_path / "other" / "config.json").write_text(content)
        with pytest.raises(InputError, match=re.escape(str(tmp_path / "other"))):
            check_encoder(f"wavlm:{tmp_path / 'other'}")
    with pytest.raises(InputError, match="weights that are on this machine where a file names"):
        check_encoder("wavlm:me/tiny", fetch=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="on this machine while HF_HUB_OFFLINE is set"):
        check_encoder("wavlm:me/tiny")


def test_a_missing_package_is_told_before_the_weights_are_needed(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with the line that installs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'esarm[wavlm]'")):
        check_encoder(f"wavlm:{weights}")

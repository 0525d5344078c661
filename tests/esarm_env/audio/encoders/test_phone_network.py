"""The phone recogniser: nothing of a recording is dropped, shifted or heard by its loudness."""

from __future__ import annotations

import re
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from esarm_env.audio.encoders import phone_network
from esarm_env.audio.encoders.phone_network import PhoneNetwork, hama_version
from esarm_env.core.errors import InputError, MissingExtraError

MOST_HOPS = 1500  # the network drops what is beyond 30 s


class EchoModel:
    """Stands in for `hama.ASRModel`: its first column repeats what it hears, one sample a hop."""

    decoder_tokens = ("echo", "<blank>")

    def __init__(self) -> None:
        self.session = self
        self.heard: list[int] = []

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[np.ndarray]:
        """Return columns as the engine does: a hop more than whole ones, 1500 at most."""
        assert names == ["log_probs"]
        audio = feeds["waveform"][0]
        assert audio.dtype == np.float32
        assert feeds["waveform_lengths"].tolist() == [len(audio)]
        self.heard.append(len(audio))
        hops = np.append(audio, np.zeros(320, np.float32))[::320][: len(audio) // 320 + 1]
        return [np.column_stack([hops, hops])[None, :MOST_HOPS]]


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> EchoModel:
    """Put the echo where the network would be."""
    model = EchoModel()
    monkeypatch.setattr(phone_network, "_load", lambda purpose: model)
    monkeypatch.setattr(phone_network, "hama_version", lambda **_: "1.7.0")
    return model


@pytest.mark.parametrize("seconds", [0.5, 23.9, 24.0, 24.1, 31.0, 59.99, 60.0, 125.3])
def test_every_hop_of_a_long_recording_is_heard_in_its_place(
    echo: EchoModel, seconds: float
) -> None:
    """The network drops what comes after 30 s without a word: a face would fall asleep there."""
    n = round(seconds * 16_000)
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, n).astype(np.float32)
    columns = PhoneNetwork(purpose="x").log_posteriors(audio)
    assert columns.shape == (n // 320 + 1, 2)
    assert max(echo.heard) < MOST_HOPS * 320, "nothing may be dropped"
    expected = phone_network._levelled(audio)[::320]
    np.testing.assert_array_equal(columns[: len(expected), 0], expected)
    if seconds > 24:
        assert min(echo.heard[:-1]) >= 22 * 16_000, "a piece needs to hear its surroundings"


def test_a_recording_that_is_no_number_is_refused(echo: EchoModel) -> None:
    """Inside the engine nan would become some phone or other."""
    for value in (np.nan, np.inf):
        audio = np.full(8000, 0.1, np.float32)
        audio[17] = value
        with pytest.raises(InputError, match=r"^`audio` must be finite, got nan or infinity$"):
            PhoneNetwork(purpose="x").log_posteriors(audio)
    assert echo.heard == []


@pytest.mark.parametrize("gain", [0.003, 0.1, 1.0, 8.0])
def test_every_recording_is_heard_at_one_level(echo: EchoModel, gain: float) -> None:
    """A whisper at 1 % of full scale turned 7 % of the network's frames into something else."""
    audio = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    first, other = (PhoneNetwork(purpose="x").log_posteriors(g * audio) for g in (1.0, gain))
    np.testing.assert_allclose(other, first, rtol=1e-3)
    assert np.sqrt(np.mean(first[:, 0] ** 2)) == pytest.approx(0.1, rel=0.2), "-20 dB"


@pytest.mark.parametrize("audio", [np.zeros(16_000), np.full(16_000, 1e-6), np.zeros(0)])
def test_silence_stays_silence(echo: EchoModel, audio: np.ndarray) -> None:
    """Rounding noise, raised to the level of speech, would be given words."""
    columns = PhoneNetwork(purpose="x").log_posteriors(audio.astype(np.float32))
    assert np.abs(columns).max(initial=0) <= 1e-6


def test_each_thread_has_an_engine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine keeps its state between calls: two threads in one would mix recordings."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    made: list[EchoModel] = []
    monkeypatch.setattr(phone_network, "hama_version", lambda **_: "1.7.0")
    monkeypatch.setattr(
        phone_network, "_load", lambda purpose: made.append(EchoModel()) or made[-1]
    )
    network, both = PhoneNetwork(purpose="x"), Barrier(2, timeout=60)

    def hear(_: int) -> None:
        both.wait()
        network.log_posteriors(np.ones(3200, np.float32))
        network.log_posteriors(np.ones(3200, np.float32))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(hear, range(2)))
    assert [len(model.heard) for model in made] == [0, 2, 2], "this thread's, and one for each"


def test_an_absent_package_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when a run is set up, not by its second stage."""

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    said = "The encoder `phones` needs `hama`: run `pip install 'esarm[phones]'`"
    with pytest.raises(MissingExtraError, match=f"^{re.escape(said)}$"):
        hama_version(purpose="The encoder `phones`")


def test_another_version_than_the_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another network's posteriors are other numbers: a policy would mumble, and who knows why?"""
    monkeypatch.setattr(metadata, "version", lambda name: {"hama": "1.8.0"}[name])
    assert hama_version(purpose="x") == hama_version(purpose="x", wanted="1.8.0") == "1.8.0"
    said = (
        "`hama` must be 1.7.0, which the audio features were made with, got 1.8.0: run "
        "`pip install 'hama==1.7.0'`, or the stages again in a new folder"
    )
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        hama_version(purpose="x", wanted="1.7.0")


def test_a_machine_without_an_engine_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel installs everywhere, but brings engines for Linux and macOS alone."""

    def no_engine() -> None:
        raise RuntimeError("libhama not available")

    monkeypatch.setitem(__import__("sys").modules, "hama", SimpleNamespace(ASRModel=no_engine))
    monkeypatch.setattr(phone_network, "hama_version", lambda **_: "1.7.0")
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    said = (
        "The encoder `phones` must run where `hama` has an engine, got Windows AMD64 (libhama not "
        "available); use encoder `logmel` to do without"
    )
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        PhoneNetwork(purpose="The encoder `phones`")

"""`esarm bench`: the rule-based peer on the frames of a run."""

import json
import re

import numpy as np
import pytest

from esarm_env.core.errors import MissingExtraError
from esarm_env.face.names import index_of
from train.bench import peers as peer
from train.bench.peers import GAINS, PEER, PEER_FITTED
from train.bench.speed import time_metrics, time_pictures, time_synthetic
from train.cli import main

pytest.importorskip("openfacefx")


def test_the_peer_opens_the_jaw_with_the_voice(make_speech):
    """A peer on the wrong channel or time axis would be easy to beat."""
    audio = make_speech(4.0, seed=1)
    audio[:16_000] = 1e-4 * np.random.default_rng(0).standard_normal(16_000)
    motion = peer.loudness_motion(audio, n_frames=120)
    assert motion.shape == (120, 52) and motion.dtype == np.float32
    assert motion.min() >= 0 and motion.max() <= 1
    jaw = motion[:, index_of("jawOpen")]
    assert jaw[:28].max() < 0.05 < jaw[35:].max()


def test_more_gain_opens_the_mouth_wider(make_speech):
    """The fitted row stands and falls with this option."""
    jaw = index_of("jawOpen")
    audio = make_speech(3.0, seed=2)
    low, high = (peer.loudness_motion(audio, n_frames=90, intensity=g)[:, jaw] for g in (0.5, 1))
    assert low.mean() < 0.7 * high.mean()


def test_without_the_peer_the_extra_is_named(monkeypatch, make_speech):
    """It is a dependency of this command alone."""
    monkeypatch.setitem(__import__("sys").modules, "openfacefx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'esarm\[peers\]'"):
        peer.loudness_motion(make_speech(1.0), n_frames=30)


def test_policies_and_peer_are_measured_on_the_same_utterances(finished_run, tmp_path, capsys):
    """The saving printed must follow from the means beside it."""
    main(["bench", "peers", "--run", str(finished_run), "--json", str(tmp_path / "peers.json")])
    figures = json.loads((tmp_path / "peers.json").read_text())
    assert set(figures["lve_mm"]) == {PEER, PEER_FITTED, "clone", "ppo", "reinforce"}
    assert figures["gain"] in GAINS
    for mean, low, high in figures["lve_mm"].values():
        assert 0 < low <= mean <= high
    assert len(figures["less_lve"]) == 6
    for row, saving in figures["less_lve"].items():
        ours, _, other = row.partition(" against ")
        means = {name: mean for name, (mean, _, _) in figures["lve_mm"].items()}
        assert saving["share"] == pytest.approx(1 - means[ours] / means[other], rel=1e-5)
        assert saving["difference_mm"][0] == pytest.approx(means[ours] - means[other], rel=1e-4)
    printed = capsys.readouterr().out
    assert "LVE (mean over frames of max over lip vertices, L2, mm)" in printed
    assert "clone against openfacefx" in printed


def test_a_benchmark_needs_a_run(tmp_path, capsys):
    """The remedy is to make one."""
    with pytest.raises(SystemExit, match=r"^2$") as stop:
        main(["bench", "peers", "--run", str(tmp_path)])
    assert stop.value.code == 2
    assert "must be a run folder (with config.yaml), got none" in capsys.readouterr().err


def test_speed_is_told_with_what_was_measured():
    """Seconds without a size say nothing; nothing is asserted about the clock."""
    figures = time_metrics(n_utterances=3, duration_s=1.0)
    assert (figures["utterances"], figures["seconds_each"]) == (3, 1.0)
    assert figures["metrics"] > 10 and figures["wall_s"] >= 0 < figures["peak_memory_mib"]
    figures = time_synthetic(size=8)
    assert figures["utterances"] == 8 and figures["speech_s"] > 3
    together = figures["together_times_real_time"]
    assert 0 < together <= min(v for k, v in figures.items() if k.startswith(("gen", "feat")))


def test_pictures_are_timed_beside_a_reference_if_asked() -> None:
    """How fast they are is for the reader: a clock beside other work is no test."""
    figures = time_pictures(n_pictures=2)
    assert figures["pictures"] == 2
    assert 0 < figures["median_per_s"] <= figures["fastest_per_s"]
    assert "reference" not in figures
    figures = time_pictures(n_pictures=2, bars=True)
    assert re.match(r"pictures/s: .* \(our bar: at least 15", figures["reference"])

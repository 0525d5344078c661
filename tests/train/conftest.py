"""A miniature folder of recordings, and a whole run on it."""

import numpy as np
import pytest
import soundfile

from train.cli import main

RATE_HZ = 16_000
TINY = (
    "prior.epochs=2",
    "prior.steps_per_epoch=4",
    "prior.batch_crops=4",
    "prior.crop_chunks=4",
    "prior.frames_per_chunk=8",
    "prior.n_tokens=16",
    "prior.mouth_codebooks=2",
    "prior.upper_codebooks=1",
    "prior.hidden=16",
    "encoder.content_dim=4",
    "encoder.emotion_dim=2",
    "encoder.width=8",
    "encoder.n_layers=1",
    "encoder.n_heads=2",
    "encoder.epochs=1",
    "clone.n_layers=1",
    "clone.n_heads=2",
    "clone.width=16",
    "clone.epochs=2",
    "reward.n_layers=1",
    "reward.n_heads=2",
    "reward.width=16",
    "reward.epochs=2",
    "consensus.samples=2",
    "consensus.damages=1",
    "consensus.n_layers=1",
    "consensus.n_heads=2",
    "consensus.width=16",
    "consensus.imagined=2",
    "consensus.rank=3",
    "consensus.hidden=8",
    "consensus.epochs=2",
    "naturalness.width=8",
    "naturalness.epochs=2",
    "improve.algorithms=[ppo,reinforce]",
    "improve.iterations=2",
    "improve.n_episodes=4",
    "improve.samples_per_utterance=2",
    "improve.batch_tokens=256",
    "improve.evaluate_every=1",
    "improve.evaluate_utterances=2",
    "evaluate.samples=1",
    "evaluate.energy_samples=3",
    "evaluate.resamples=50",
)


# Settings that the recipe does not read.
OTHERS = {"consensus": ("reward.",), "paper": ("consensus.", "naturalness.")}


def tiny_settings(*more, recipe="consensus"):
    """Return command-line options that make every stage as small as it can be."""
    tiny = [setting for setting in TINY if not setting.startswith(OTHERS[recipe])]
    return [part for setting in (*tiny, *more) for part in ("--set", setting)]


def speak(duration_s, *, seed=0, pauses=True):
    """Return something like speech: a voiced tone in syllables, with pauses between phrases."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    syllables = np.clip(np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6)), 0, 1)
    phrases = (t % 2.5 < 2.1) if pauses else 1.0
    pitch = 140 + 20 * np.sin(2 * np.pi * 0.7 * t)
    voice = sum(np.sin(k * 2 * np.pi * np.cumsum(pitch) / RATE_HZ) / k for k in range(1, 6))
    noise = 1e-3 * rng.standard_normal(len(t))
    return (0.2 * voice * syllables * phrases + noise).astype(np.float32)


def mouth_motion(audio, *, seed=0):
    """Return (T, 52) whose jaw and lips follow the loudness, all channels moving a little."""
    rng = np.random.default_rng(seed)
    n_frames = round(len(audio) / RATE_HZ * 30)
    power = np.square(audio)[: n_frames * 533].reshape(n_frames, -1).mean(axis=1)
    loud = np.sqrt(np.convolve(power, np.ones(3) / 3, "same")) * 4
    slow = np.cumsum(rng.standard_normal((n_frames, 52)), axis=0)
    slow = 0.05 * (slow - slow.min(axis=0)) / np.ptp(slow, axis=0)
    return np.clip(slow + 0.5 * loud[:, None] * (np.arange(52) % 3 == 0), 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """A folder with `audio/` and `blendshape/`: two takes of half a minute."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "audio").mkdir()
    (folder / "blendshape").mkdir()
    for number, name in enumerate(("ann_1", "bob_1")):
        audio = speak(30, seed=number)
        soundfile.write(folder / "audio" / f"{name}.wav", audio, RATE_HZ)
        np.save(folder / "blendshape" / f"{name}.npy", mouth_motion(audio, seed=number))
    return folder


@pytest.fixture(scope="session")
def finished_run(recordings, tmp_path_factory):
    """A run folder in which `esarm run` has finished on the recordings."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    main(["run", "--run", str(run), "--corpus", str(recordings), *tiny_settings()])
    return run


@pytest.fixture(scope="session")
def streaming_run(recordings, tiny_options, tmp_path_factory):
    """A run folder up to `clone` whose encoder hears 4 frames ahead."""
    run = tmp_path_factory.mktemp("runs") / "streaming"
    settings = tiny_options(
        f"corpus.name={recordings}",
        "corpus.encoder=logmel-running",
        "prior.frames_per_chunk=4",  # as far as it hears ahead
        "prior.crop_chunks=8",
        "encoder.streaming=true",
        "encoder.look_ahead_frames=4",
    )
    for stage in ("corpus", "prior", "encoder", "clone"):
        if stage == "corpus":
            from train.run.config import make_config
            from train.run.run_folder import RunFolder
            from train.stages import STAGE_FUNCTIONS

            overrides = tuple(part for part in settings if part != "--set")
            folder = RunFolder.create(
                run, make_config(preset="demo", file=None, overrides=overrides)
            )
            STAGE_FUNCTIONS["corpus"](folder)
        else:
            main([stage, "--run", str(run)])
    return run


@pytest.fixture
def speech_file(tmp_path):
    """A short sound file at 44.1 kHz in stereo."""
    path = tmp_path / "speech.flac"
    mono = np.interp(np.arange(0, 3, 1 / 44_100), np.arange(3 * RATE_HZ) / RATE_HZ, speak(3))
    soundfile.write(path, np.stack([mono, mono], axis=1), 44_100)
    return path


@pytest.fixture(scope="session")
def tiny_options():
    """The function `tiny_settings`."""
    return tiny_settings


@pytest.fixture(scope="session")
def make_speech():
    """The function `speak`."""
    return speak

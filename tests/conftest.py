"""What all tests share: one torch thread, a cache of their own, and a corpus that needs nothing.

The corpus is made by hand, in memory: sums of sines for voices, smooth random curves for faces.
"""

from __future__ import annotations

import gc
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

from agents.registry import ALGORITHMS
from esarm_env.audio.features import LogMel
from esarm_env.audio.store import FeatureStore, open_features
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    BoolArray,
    Corpus,
    FloatArray,
    IntArray,
    Record,
    Utterance,
)
from esarm_env.corpus import check_split
from esarm_env.face import ARKIT_NAMES, MOUTH_CHANNELS, load_head
from esarm_env.face.exporters.registry import EXPORTERS
from esarm_env.rewards.registry import REWARDS
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.task.episode_metrics import METRICS
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, train_tokenizer
from reward.nets.files import NETS
from tests.hub_stand_in import hub  # noqa: F401  # a fixture
from train.run import own_code

ON_RAY = {"ray_session", "three_workers"}

# What imports and collection make is not garbage: to look through it took a fifth of their time.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests on Ray come last: its processes take a tenth of a processor while it runs."""
    items.sort(key=lambda item: bool(ON_RAY & set(getattr(item, "fixturenames", ()))))


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and only in what the tests make."""
    gc.freeze()
    gc.enable()


# The same inputs in every run; no clock decides; the database would make runs differ.
settings.register_profile(
    "ci",
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
# `python -m pytest tests -k mutated --hypothesis-profile=long --hypothesis-seed=1` looks longer.
settings.register_profile(
    "long", settings.get_profile("ci"), max_examples=10_000, derandomize=False
)
settings.load_profile("ci")

# (speaker, emotion, intensity, sentence, frames): dora is never trained on, "gulls" never heard.
_LINES = (
    ("anna", "neutral", 1, "The boat left at noon.", 33),
    ("anna", "happy", 3, "The boat left at noon.", 30),
    ("anna", "angry", 2, "Who took my cup?", 24),
    ("ben", "neutral", 1, "Who took my cup?", 27),
    ("ben", "sad", 2, "The boat left at noon.", 45),
    ("ben", "angry", 3, "The boat left at noon.", 26),
    ("cleo", "happy", 1, "Who took my cup?", 20),
    ("cleo", "sad", 3, "Who took my cup?", 36),
    ("anna", "sad", 1, "Six gulls sat here.", 29),
    ("cleo", "angry", 1, "Six gulls sat here.", 32),
    ("dora", "neutral", 1, "We met by the lake.", 40),
    ("dora", "happy", 2, "We met by the lake.", 31),
)
_SPLITS = {"train": range(8), "validation": (8, 9), "test": (10, 11)}
_PITCH_HZ = {"anna": 210.0, "ben": 115.0, "cleo": 180.0, "dora": 240.0}

MakeCorpus = Callable[..., Corpus]
MakePackage = Callable[..., None]


class HandMadeCorpus:
    """Utterances in memory; implements `Corpus` and counts how often it is read."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        splits: Mapping[str, Sequence[int]],
        *,
        name: str = "hand-made",
    ) -> None:
        self.name = name
        self.records = tuple(utterance.record for utterance in utterances)
        self.captured: BoolArray = utterances[0].captured
        self.n_reads = 0
        self._utterances = tuple(utterances)
        self._splits = {key: np.array(value, dtype=np.int64) for key, value in splits.items()}

    @property
    def content_hash(self) -> str:
        digest = hashlib.sha256(repr(self.records).encode())
        for utterance in self._utterances:
            digest.update(utterance.audio.tobytes() + utterance.motion.tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, index: int) -> Utterance:
        self.n_reads += 1
        return self._utterances[index]

    def split(self, name: str) -> IntArray:
        return self._splits[check_split(name)]


def _syllables(n: int, rng: np.random.Generator) -> FloatArray:
    """Return how far the mouth is open in each of `n` frames: about four syllables a second."""
    time_s = np.arange(n) / FRAME_RATE_HZ
    rate_hz, phase = rng.uniform(3.0, 4.5), rng.uniform(0, 2 * np.pi)
    ends = np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / 4)
    return (0.5 - 0.5 * np.cos(2 * np.pi * rate_hz * time_s + phase)) * ends


def _voice(opening: FloatArray, pitch_hz: float) -> FloatArray:
    """Return harmonics of `pitch_hz`, as loud as the mouth is open."""
    n_samples = len(opening) * SAMPLE_RATE_HZ // FRAME_RATE_HZ
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 9))
    loudness = np.interp(time_s * FRAME_RATE_HZ, np.arange(len(opening)), opening)
    hiss = np.random.default_rng(0).normal(0, 1e-3, n_samples)
    return (0.2 * tone * loudness + hiss).astype(np.float32)


def _face(opening: FloatArray, emotion: str, rng: np.random.Generator) -> FloatArray:
    """Return smooth curves: the mouth follows `opening`, the emotion shifts the rest."""
    time_s = np.arange(len(opening))[:, None] / FRAME_RATE_HZ
    rate_hz, phase = rng.uniform(0.3, 1.5, N_CHANNELS), rng.uniform(0, 2 * np.pi, N_CHANNELS)
    motion = 0.15 + 0.1 * np.sin(2 * np.pi * rate_hz * time_s + phase)
    motion[:, MOUTH_CHANNELS] *= 0.4
    motion[:, ARKIT_NAMES.index("jawOpen")] = 0.6 * opening
    lift = {"happy": "mouthSmile", "angry": "browDown", "sad": "mouthFrown"}.get(emotion)
    for side in ("Left", "Right"):
        if lift is not None:
            motion[:, ARKIT_NAMES.index(lift + side)] += 0.4
    return np.clip(motion, 0, 1).astype(np.float32)


def _utterances() -> list[Utterance]:
    made = []
    for number, (speaker, emotion, intensity, text, n_frames) in enumerate(_LINES):
        rng = np.random.default_rng(number)
        opening = _syllables(n_frames, rng)
        record = Record(f"{speaker}-{number:02d}", speaker, emotion, intensity, text, n_frames)
        audio, motion = _voice(opening, _PITCH_HZ[speaker]), _face(opening, emotion, rng)
        made.append(Utterance(record, audio, motion, np.ones(N_CHANNELS, dtype=np.bool_)))
    return made


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Keep sums in one order, and leave the other processors to others."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep every test out of the user's cache."""
    folder = tmp_path_factory.mktemp("esarm-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESARM_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def registered_names() -> Iterator[None]:
    """Forget the plug-ins and the own code that a test registered: the next would find them."""
    registries: Any = (ALGORITHMS, EXPORTERS, METRICS, NETS, REWARDS)
    names = [registry._registered for registry in registries]
    kept = [dict(known) for known in names]
    code = [(known, set(known)) for known in (own_code._registered, own_code._named)]
    yield
    for known, before in zip(names, kept, strict=True):
        known.clear()
        known.update(before)
    for texts, before_it in code:
        texts.clear()
        texts.update(before_it)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return the same random numbers in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def make_corpus() -> MakeCorpus:
    """Return the class of corpora made by hand: `make_corpus(utterances, splits, name=...)`."""
    return HandMadeCorpus


@pytest.fixture(scope="session")
def tiny_corpus() -> Corpus:
    """Return 12 utterances of 20 to 45 frames: 8 to train, 2 to validate, 2 of a stranger."""
    return HandMadeCorpus(_utterances(), _SPLITS, name="tiny")


@pytest.fixture(scope="session")
def tiny_motions(tiny_corpus: Corpus) -> list[FloatArray]:
    """Return the training motion of `tiny_corpus`, each (T, 52)."""
    return [tiny_corpus[int(index)].motion for index in tiny_corpus.split("train")]


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_motions: list[FloatArray]) -> VQMotionTokenizer:
    """Return a tokenizer of 16 codes, 4 frames and 4 tokens a chunk, trained for a second."""
    config = PriorConfig(
        n_tokens=16,
        frames_per_chunk=4,
        mouth_codebooks=2,
        upper_codebooks=2,
        hidden=32,
        code_dim=8,
        epochs=4,
        steps_per_epoch=25,
        batch_crops=16,
        crop_chunks=5,
    )
    return train_tokenizer(tiny_motions, load_head(), config=config, seed=0)


@pytest.fixture(scope="session")
def tiny_features(tiny_corpus: Corpus, cache: Path) -> FeatureStore:
    """Return the log-mel features of `tiny_corpus`."""
    return open_features(tiny_corpus, LogMel(), cache=cache, progress=False)


@pytest.fixture(scope="session")
def tiny_task(
    tiny_corpus: Corpus, tiny_features: FeatureStore, tiny_tokenizer: VQMotionTokenizer
) -> AnimationTask:
    """Return the task of `tiny_corpus`: 16 actions, 20 to 48 steps an episode."""
    conditions = ConditionEncoder(("anna", "ben", "cleo"))
    return AnimationTask(tiny_corpus, tiny_features, tiny_tokenizer, load_head(), conditions)


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Return a function that installs a package of one module, as pip would write it to disk.

    `make(name, source, group="esarm.rewards", **plug_ins)`: each plug-in is
    `name="object of the module"`; `_` in a name stands for `-`.
    """
    made: list[str] = []

    def make(
        package: str,
        source: str,
        *,
        version: str = "1.2",
        group: str = "esarm.rewards",
        **plug_ins: str,
    ) -> None:
        folder = tmp_path / package
        info = folder / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        lines = [
            f"{name.replace('_', '-')} = {package}:{target}" for name, target in plug_ins.items()
        ]
        (info / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(folder))
        made.append(package)

    yield make
    for package in made:
        sys.modules.pop(package, None)


@pytest.fixture(scope="session")
def tiny_wavlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a WavLM of three layers of 16 hidden units, untrained."""
    from transformers import WavLMConfig, WavLMModel

    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("weights") / "tiny-wavlm"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        WavLMModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def ray_session(cache: Path) -> Iterator[None]:
    """Keep Ray running with two processors for all tests that need it: a start takes seconds."""
    from train.parallel.session import ray_session

    with ray_session(2, purpose="a test"):
        yield


@pytest.fixture(scope="session")
def three_workers() -> Iterator[Any]:
    """Return one pool of three Ray workers for all tests, since starting one takes seconds.

    A test sets `n_workers` to use fewer of them, and puts it back.
    """
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from esarm_env.core.workers import session
    from esarm_env.core.workers.ray_pool import RayPool

    session._Session.warned_of.add(3)  # two processors are enough for tests
    with RayPool(3) as pool:
        assert len(set(pool.processes())) == 3, "they are started by now"
        yield pool

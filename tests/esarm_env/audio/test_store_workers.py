"""Features by worker processes: the same bytes on disk as without, and messages with names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from esarm_env.audio import store
from esarm_env.audio.encoders.frames import AudioEncoder
from esarm_env.audio.encoders.wavlm import WavLM
from esarm_env.audio.features import LogMel
from esarm_env.audio.store import open_features
from esarm_env.core.errors import InputError
from esarm_env.core.types import Corpus, FloatArray
from esarm_env.corpus import open_corpus


@pytest.fixture
def two_workers(three_workers: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two workers, which are sent two utterances at a time, and four parts before one is kept."""
    monkeypatch.setattr(store, "_PART", 2)
    monkeypatch.setattr(store, "_PARTS_EACH", 2)
    three_workers.n_workers = 2
    yield three_workers
    three_workers.n_workers = 3


class Silent:
    """Gives nothing but nan to the utterance of 24 frames."""

    key, dim = "silent-v1", 1

    def encode(self, audio: FloatArray) -> FloatArray:
        n_frames = round(len(audio) * 30 / 16_000)
        return np.full((n_frames, 1), np.nan if n_frames == 24 else 0.0, dtype=np.float32)


@pytest.mark.parametrize("name", ["logmel", "wavlm"])
def test_features_do_not_depend_on_workers(
    name: str, two_workers: Any, tiny_wavlm: Path, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    """To the last bit: a cache that was filled on a cluster serves a laptop."""
    if name == "wavlm":
        pytest.importorskip("transformers", reason="needs the extra `wavlm`")
    found = []
    for pool in (None, two_workers):
        encoder: AudioEncoder = LogMel() if name == "logmel" else WavLM(str(tiny_wavlm))
        cache = tmp_path / str(pool is None)
        made = open_features(tiny_corpus, encoder, cache=cache, progress=False, pool=pool)
        assert len(made) == len(tiny_corpus)
        found.append(next(cache.rglob("*.npy")).read_bytes())
    assert found[0] == found[1]


class Few:
    """A few utterances of the corpus that ships: longer than tiny ones, whose sums agree anyway."""

    content_hash = "few"

    def __init__(self) -> None:
        self._whole = open_corpus("synthetic-mini")
        self.records = self._whole.records[:24]

    def __getitem__(self, index: int) -> Any:
        return self._whole[index]


def test_features_do_not_depend_on_the_threads_of_numpy(tmp_path: Path) -> None:
    """Workers have one; the process they spare has as many as the machine has processors."""
    corpus: Any = Few()
    found = []
    for threads in (1, 2):
        cache = tmp_path / str(threads)
        with threadpool_limits(threads, user_api="blas"):
            open_features(corpus, LogMel(), cache=cache, progress=False)
        found.append(next(cache.rglob("*.npy")).read_bytes())
    assert found[0] == found[1]


def test_a_bad_feature_of_a_worker_names_its_utterance(
    two_workers: Any, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    """Nobody finds one of 30,000 recordings by a number."""
    with pytest.raises(InputError, match="utterance 'anna-02'"):
        open_features(tiny_corpus, Silent(), cache=tmp_path, progress=False, pool=two_workers)
    assert not list(tmp_path.rglob("*.npy")), "and nothing half done is kept"

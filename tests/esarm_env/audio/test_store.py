"""The feature store: computed once, in the corpus' order, as long as the motion."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from esarm_env.audio.features import LogMel
from esarm_env.audio.store import FeatureStore, open_features
from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, Corpus, Record, Utterance, n_frames_of


@dataclass
class CountingEncoder:
    """Gives frame `t` of an utterance the features (level, t); counts its calls."""

    key: str = "counting-v1"
    dim: int = 2
    heard: list[float] = field(default_factory=list)

    def encode(self, audio: np.ndarray) -> np.ndarray:
        self.heard.append(float(audio[0]))
        n_frames = n_frames_of(len(audio))
        columns = np.stack([np.full(n_frames, audio[0]), np.arange(n_frames)], axis=1)
        return columns.astype(np.float32)


@pytest.fixture
def corpus(make_corpus: Callable[..., Corpus]) -> Corpus:
    """Return three utterances whose audio lasts 6 frames, with motion of 6, 8 and 4."""
    utterances = []
    for number, n_frames in enumerate((6, 8, 4)):
        record = Record(f"u{number}", "anna", "neutral", 1, None, n_frames)
        audio = np.full(3200, (number + 1) / 8, np.float32)
        motion = np.full((n_frames, N_CHANNELS), 0.5, np.float32)
        utterances.append(Utterance(record, audio, motion, np.ones(N_CHANNELS, np.bool_)))
    return make_corpus(utterances, {"train": [0], "validation": [1], "test": [2]})


def test_features_are_as_long_as_the_motion(corpus: Corpus, tmp_path: Path) -> None:
    """Audio a frame longer than its motion must not push the next utterance's features over."""
    store = open_features(corpus, CountingEncoder(), cache=tmp_path, progress=False)
    assert (len(store), store.dim) == (3, 2)
    expected = [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 5, 5], [0, 1, 2, 3]]
    for index, frames in enumerate(expected):
        assert store[index].dtype == np.float32
        assert store[index][:, 1].tolist() == frames
        assert set(store[index][:, 0].tolist()) == {(index + 1) / 8}


def test_features_are_computed_once(corpus: Corpus, tmp_path: Path) -> None:
    """WavLM over a corpus takes an hour; the second start must take none."""
    first, second = CountingEncoder(), CountingEncoder()
    made = open_features(corpus, first, cache=tmp_path, progress=False)
    read = open_features(corpus, second, cache=tmp_path, progress=False)
    assert first.heard == [1 / 8, 2 / 8, 3 / 8]
    assert second.heard == []
    for index in range(3):
        np.testing.assert_array_equal(read[index], made[index])


def test_another_encoder_or_corpus_is_computed_anew(
    corpus: Corpus, tiny_corpus: Corpus, tmp_path: Path
) -> None:
    """Stale features of an edited corpus would be the worst bug: everything still runs."""
    open_features(corpus, CountingEncoder(), cache=tmp_path, progress=False)
    for other, encoder in ((corpus, CountingEncoder("v2")), (tiny_corpus, CountingEncoder())):
        open_features(other, encoder, cache=tmp_path, progress=False)
        assert len(encoder.heard) == len(other)
    assert len(list((tmp_path / "features").iterdir())) == 3


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_features_of_threads_are_those_of_one(
    tiny_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_threads: int
) -> None:
    """Whichever utterance is done first, each stands in its own place."""

    class Threaded(CountingEncoder):
        threads = True

        def encode(self, audio: np.ndarray) -> np.ndarray:
            names.add(threading.current_thread().name)
            return super().encode(audio)

    names: set[str] = set()
    monkeypatch.setattr("esarm_env.audio.store.n_processors", lambda: n_threads)
    alone = open_features(tiny_corpus, CountingEncoder(), cache=tmp_path / "a", progress=False)
    encoder = Threaded()
    many = open_features(tiny_corpus, encoder, cache=tmp_path / "b", progress=False)
    assert len(encoder.heard) == len(tiny_corpus) == 12
    for index in range(12):
        np.testing.assert_array_equal(many[index], alone[index])
    main = threading.main_thread().name
    assert names == {main} if n_threads == 1 else main not in names


def test_an_error_of_a_thread_is_the_caller_s(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swallowed, it would leave zeros, which sound like silence."""

    class Failing(CountingEncoder):
        threads = True

        def encode(self, audio: np.ndarray) -> np.ndarray:
            raise InputError("by the test")

    monkeypatch.setattr("esarm_env.audio.store.n_processors", lambda: 2)
    with pytest.raises(InputError, match=r"^by the test$"):
        open_features(corpus, Failing(), cache=tmp_path, progress=False)
    assert list((tmp_path / "features").iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_features_that_are_no_numbers_are_refused(
    corpus: Corpus, tmp_path: Path, value: float
) -> None:
    """One nan becomes the loss of everything; 1e6 is none until it is stored in half precision."""

    class Broken(CountingEncoder):
        def encode(self, audio: np.ndarray) -> np.ndarray:
            features = super().encode(audio)
            features[-2:, 1] = value if len(self.heard) == 2 else 0
            return features

    said = (
        "audio features of utterance 'u1' must be finite, got nan or infinity in 2 of 6 frames, "
        "the first at 0.13 s"
    )
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        open_features(corpus, Broken(), cache=tmp_path, progress=False)
    assert list((tmp_path / "features").iterdir()) == [], "nor may they be cached"


def test_a_store_of_no_numbers_is_refused() -> None:
    """Whoever fills one by hand gets no other check."""
    values = np.zeros((70_000, 1), np.float16)
    values[66_000] = np.nan
    said = "audio features of rows 65536 and later must be finite, got nan or infinity in 1 of 4464"
    with pytest.raises(InputError, match=re.escape(said)):
        FeatureStore(values, [70_000])


def test_an_interrupt_leaves_no_features(corpus: Corpus, tmp_path: Path) -> None:
    """Half a file, zero after the interrupt, would be read as silence."""

    class Interrupted(CountingEncoder):
        def encode(self, audio: np.ndarray) -> np.ndarray:
            if self.heard:
                raise KeyboardInterrupt("by the test")
            return super().encode(audio)

    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        open_features(corpus, Interrupted(), cache=tmp_path, progress=False)
    encoder = CountingEncoder()
    open_features(corpus, encoder, cache=tmp_path, progress=False)
    assert len(encoder.heard) == 3, "features must be computed again"


def test_half_precision_is_precise_enough(tiny_corpus: Corpus, tiny_features: FeatureStore) -> None:
    """Features reach 8, where half floats are 1/128 apart: 4e-3 off at most."""
    for index in (0, 5, 11):
        exact = LogMel().encode(tiny_corpus[index].audio)
        assert exact.shape == tiny_features[index].shape
        np.testing.assert_allclose(tiny_features[index], exact, atol=4e-3, rtol=5e-4)


def test_rows_are_fresh_copies(corpus: Corpus, tmp_path: Path) -> None:
    """Noise added in place by a trainer must not stay in the store."""
    store = open_features(corpus, CountingEncoder(), cache=tmp_path, progress=False)
    store[0][:] = -1
    assert store[0].min() == 0


def test_the_progress_bar_can_be_drawn(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long computation without a sign of life gets killed; a library's must be silent."""
    open_features(corpus, CountingEncoder(), cache=tmp_path / "a", progress=False)
    assert capsys.readouterr() == ("", "")
    open_features(corpus, CountingEncoder(), cache=tmp_path / "b", progress=True)
    assert "Audio features" in capsys.readouterr().err


@pytest.mark.parametrize("n_frames", [[2, 3], [2, 5], []])
def test_rows_that_do_not_add_up_are_rejected(n_frames: list[int]) -> None:
    """Offsets beyond the file would read another utterance's features."""
    message = f"`values` must have {sum(n_frames)} rows, got 6"
    with pytest.raises(ValueError, match=re.escape(message)):
        FeatureStore(np.zeros((6, 2), np.float16), n_frames)


def test_rows_that_add_up_are_allowed() -> None:
    """The smallest store: one row of one utterance."""
    store = FeatureStore(np.ones((1, 2), np.float16), [1])
    assert store[0].tolist() == [[1, 1]]


@pytest.mark.parametrize("index", [-1, 3, -3])
def test_an_index_beyond_the_utterances_is_rejected(index: int) -> None:
    """-1 would read from the last offset back to the first: nothing at all."""
    store = FeatureStore(np.zeros((6, 2), np.float16), [1, 2, 3])
    with pytest.raises(IndexError, match=re.escape(f"`index` must be in 0..2, got {index}")):
        store[index]


def test_the_first_and_the_last_utterance_are_allowed() -> None:
    """The limits of the range are utterances."""
    ramp = np.arange(6, dtype=np.float16)[:, None]
    store = FeatureStore(ramp, [1, 2, 3])
    assert store[0].tolist() == [[0]]
    assert store[2].tolist() == [[3], [4], [5]]


def test_a_cache_that_cannot_be_written_is_named(corpus: Corpus, tmp_path: Path) -> None:
    """The features must go somewhere, and a traceback does not tell how to say where."""
    cache = tmp_path / "cache"
    cache.write_text("a file")
    with pytest.raises(InputError, match=re.escape("set ESARM_CACHE to another")):
        open_features(corpus, CountingEncoder(), cache=cache, progress=False)


def _spoilt(folder: Path, how: str) -> None:
    """Damage cached features as disks and copies do."""
    path = folder / "features.npy"
    content = path.read_bytes()
    if how == "other bytes":
        path.write_bytes(content[:-4] + b"\0\0\0\0")
    elif how == "cut":
        path.write_bytes(content[:-4])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    elif how == "no sum":
        (folder / "features.sha256").unlink()
    else:
        (folder / "features.sha256").write_bytes(b"\xff")


@pytest.mark.parametrize(
    "how", ["other bytes", "cut", "empty", "gone", "a folder", "no sum", "another sum"]
)
def test_features_that_changed_are_computed_anew(corpus: Corpus, tmp_path: Path, how: str) -> None:
    """Zeros in the cache changed every figure of every run, without a word."""
    made = open_features(corpus, CountingEncoder(), cache=tmp_path, progress=False)
    (folder,) = (tmp_path / "features").iterdir()
    expected = [made[index] for index in range(3)]
    del made
    _spoilt(folder, how)
    encoder = CountingEncoder()
    with pytest.warns(UserWarning, match="must hold the features that were computed, got"):
        again = open_features(corpus, encoder, cache=tmp_path, progress=False)
    assert len(encoder.heard) == 3
    for index in range(3):
        np.testing.assert_array_equal(again[index], expected[index])
    assert [path.name for path in (tmp_path / "features").iterdir()] == [folder.name]
    third = CountingEncoder()
    open_features(corpus, third, cache=tmp_path, progress=False)
    assert third.heard == [], "what was computed anew must be whole"

"""The synthetic corpus as a caller sees it: reproducible, cached, balanced, honestly split."""

import dataclasses
import importlib.metadata
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import EMOTIONS, N_CHANNELS, n_frames_of
from esarm_env.corpus.synthetic import SyntheticCorpus, open_synthetic, synthetic_design
from esarm_env.corpus.synthetic import corpus as corpus_module
from esarm_env.corpus.synthetic.corpus import INDEX_FILE
from esarm_env.corpus.synthetic.design import plan
from esarm_env.corpus.synthetic.worker import AUDIO_FILE, MOTION_FILE, make_utterance, speak

pytest.importorskip("espeakng_loader")

SIZE = 48


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def mead(cache: Path) -> SyntheticCorpus:
    return open_synthetic("synthetic-mead", size=SIZE, cache_dir=cache, n_workers=1, progress=False)


@pytest.fixture(scope="module")
def ravdess(cache: Path) -> SyntheticCorpus:
    return open_synthetic("synthetic-ravdess", size=SIZE, cache_dir=cache, progress=False)


def files_of(corpus: SyntheticCorpus) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(corpus.folder.iterdir())}


def test_worker_count_changes_no_byte(mead: SyntheticCorpus, tmp_path: Path) -> None:
    """Otherwise two machines train on different corpora under one name. 48 is no multiple of 5."""
    other = open_synthetic(
        "synthetic-mead", size=SIZE, cache_dir=tmp_path, n_workers=5, progress=False
    )
    assert files_of(other) == files_of(mead), "five workers must write what one writes"


def test_uneven_shards_change_no_byte(tmp_path: Path) -> None:
    """A line lost or doubled where a shard ends shifts everything after it."""
    made = [
        open_synthetic(
            "synthetic-ravdess", size=11, cache_dir=tmp_path / str(n), n_workers=n, progress=False
        )
        for n in (1, 2, 3)
    ]
    first, *others = (files_of(corpus) for corpus in made)
    assert all(files == first for files in others), "one, two and three workers must write alike"


def test_order_changes_no_byte(mead: SyntheticCorpus) -> None:
    """espeak-ng keeps state between calls; an utterance must not hear the one before it."""
    design = synthetic_design("synthetic-mead", size=SIZE)
    for index in (40, 3, 41, 17, 3):
        audio, motion = make_utterance(design, plan(design)[index])
        stored = mead[index]
        error = np.abs(stored.audio - np.clip(audio, -1, 1)).max()
        assert error <= 0.51 / 32_767, f"audio {index} differs from the stored one by {error}"
        halves = motion.astype(np.float16).astype(np.float32)
        assert np.array_equal(stored.motion, halves), f"motion {index} depends on the order"


def test_size_changes_no_utterance(mead: SyntheticCorpus) -> None:
    """The larger corpus holds other lines, but a line they share is the same to the sample."""
    small, large = (synthetic_design("synthetic-mead", size=size) for size in (SIZE, 400))
    shared = set(plan(small)) & set(plan(large))
    assert shared, "two sizes of one design must share lines"
    line = min(shared, key=lambda planned: planned.id)
    first, second = make_utterance(small, line), make_utterance(large, line)
    assert np.array_equal(first[0], second[0]), "audio depends on the corpus's size"
    assert np.array_equal(first[1], second[1]), "motion depends on the corpus's size"


def test_seed_draws_another_corpus() -> None:
    """A seed that does nothing would make every confidence interval over corpora a fiction."""
    designs = [synthetic_design("synthetic-mead", size=SIZE, seed=seed) for seed in (0, 1)]
    first, second = (make_utterance(design, plan(design)[0])[0] for design in designs)
    assert not np.array_equal(first, second), "seeds must differ"


def test_an_accent_is_another_way_to_say_the_same() -> None:
    """A trial on an accent that never was heard must not measure the old one."""
    design = synthetic_design("synthetic-mead", size=SIZE)
    line = plan(design)[0]
    american, caribbean = (speak(design, line, accent=name) for name in ("en-us", "en-029"))
    said = [[phoneme.ipa for phoneme in each.phonemes] for each in (american, caribbean)]
    assert said[0] != said[1], "other sounds"
    assert np.array_equal(american.style.neutral, caribbean.style.neutral), "the same face"
    audio, motion = make_utterance(design, line, accent="en-029")
    assert np.array_equal(audio, caribbean.audio) and motion.shape == (n_frames_of(len(audio)), 52)


def test_an_accent_with_sounds_without_a_face_is_refused() -> None:
    """The mouth would rest at each of them as in a pause, and be measured as the truth."""
    design = synthetic_design("synthetic-ravdess", size=SIZE)
    line = dataclasses.replace(plan(design)[0], sentence=0)
    unknown = dataclasses.replace(design, sentences=("The moon is blue.", *design.sentences[1:]))
    message = (
        "`accent` must have sounds that the rules of the face know, got 'en-gb-scotland' with ʉ; "
        "take another, such as 'en-gb-x-rp'"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        make_utterance(unknown, line, accent="en-gb-scotland")


@pytest.mark.parametrize("name", ["mead", "ravdess"])
def test_utterances_keep_the_contract(name: str, request: pytest.FixtureRequest) -> None:
    """Frames that do not cover the audio shift every metric; values outside [0, 1] break faces."""
    corpus = request.getfixturevalue(name)
    assert len(corpus) == SIZE == len(corpus.records), "size must be what was asked for"
    assert len({record.id for record in corpus.records}) == SIZE, "ids must be unique"
    assert corpus.captured.all() and corpus.captured.shape == (N_CHANNELS,), "all are captured"
    for index in range(SIZE):
        utterance = corpus[index]
        motion = utterance.motion
        assert len(motion) == n_frames_of(len(utterance.audio)), f"length of {index}"
        assert motion.min() >= 0 and motion.max() <= 1, f"range of {index}"
        assert np.isfinite(utterance.audio).all(), f"audio of {index}"
        assert 0.1 < np.abs(utterance.audio).max() <= 1, f"level of {index}"
        assert 1.3 < len(motion) / 30 < 5, f"{utterance.record.text!r} lasts {len(motion) / 30} s"
    assert np.array_equal(corpus[-1].motion, corpus[SIZE - 1].motion), "-1 is the last"


def test_second_open_generates_nothing(
    mead: SyntheticCorpus, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of generation on every start would make the cache a decoration."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("generated a second time")

    monkeypatch.setattr(corpus_module, "generate", refuse)
    again = open_synthetic("synthetic-mead", size=SIZE, cache_dir=cache, progress=False)
    assert again.content_hash == mead.content_hash, "the cached corpus must be the same one"
    assert again.records == mead.records, "the cached corpus must have the same records"


def test_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-written folder under the final name would be served as a corpus from then on."""

    def interrupt(design: object, folder: Path, **_: object) -> None:
        (folder / "audio.int16").write_bytes(b"half")
        raise KeyboardInterrupt("by the test")

    monkeypatch.setattr(corpus_module, "generate", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        open_synthetic("synthetic-mead", size=SIZE, cache_dir=tmp_path, progress=False)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "half-written files"


def test_failing_worker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies must not leave a shorter corpus, and must say why."""
    monkeypatch.setattr("esarm_env.corpus.synthetic.corpus._WORKER_MODULE", "no_such_module")
    with pytest.raises(RuntimeError, match=re.escape("No module named no_such_module")):
        open_synthetic("synthetic-mead", size=8, cache_dir=tmp_path, progress=False)
    assert not list(tmp_path.rglob(INDEX_FILE)), "a failed corpus must not be cached"


def test_mead_splits_share_no_sentence(mead: SyntheticCorpus) -> None:
    """A test sentence that was trained on measures memory, not animation."""
    texts = {
        name: {mead.records[i].text for i in mead.split(name)}
        for name in ("train", "validation", "test")
    }
    assert not texts["train"] & (texts["validation"] | texts["test"]), "train shares a sentence"
    assert not texts["validation"] & texts["test"], "validation and test share a sentence"
    speakers = {name: {mead.records[i].speaker for i in mead.split(name)} for name in texts}
    assert speakers["validation"] <= speakers["train"], "validation keeps to training speakers"
    assert speakers["test"] & speakers["train"], "test lacks known speakers"
    assert speakers["test"] - speakers["train"] == {"S10", "S11", "S12"}, "test lacks strangers"


def test_ravdess_splits_share_no_speaker(ravdess: SyntheticCorpus) -> None:
    """With two sentences only the speakers can keep the splits apart."""
    speakers = [
        {ravdess.records[i].speaker for i in ravdess.split(name)}
        for name in ("train", "validation", "test")
    ]
    assert [len(names) for names in speakers] == [18, 2, 4], "every speaker in one split"
    assert len(set.union(*speakers)) == 24, "splits must share no speaker"
    intensities = {record.intensity for record in ravdess.records if record.emotion != "neutral"}
    assert intensities == {2, 3}, "RAVDESS has normal and strong"


@pytest.mark.parametrize("name", ["mead", "ravdess"])
def test_small_corpus_is_balanced(name: str, request: pytest.FixtureRequest) -> None:
    """The tutorial's 48 utterances must still hold every emotion, speaker and split."""
    corpus = request.getfixturevalue(name)
    emotions = Counter(record.emotion for record in corpus.records)
    assert len(emotions) == 8 and set(emotions) <= set(EMOTIONS), "eight emotions of ours"
    assert max(emotions.values()) - min(emotions.values()) <= 1, f"uneven emotions: {emotions}"
    speakers = Counter(record.speaker for record in corpus.records)
    assert len(speakers) == {"mead": 12, "ravdess": 24}[name], f"speakers missing: {speakers}"
    sizes = [len(corpus.split(split)) for split in ("train", "validation", "test")]
    assert sizes == [36, 5, 7], "about 75, 10 and 15 per cent"
    together = np.concatenate([corpus.split(s) for s in ("train", "validation", "test")])
    assert sorted(together) == list(range(SIZE)), "splits must cover the corpus once"


def test_parallel_groups_differ_in_emotion_alone(mead: SyntheticCorpus) -> None:
    """Cross-reconstruction swaps emotions within a group; another sentence would corrupt it."""
    groups = mead.parallel_groups()
    assert sum(map(len, groups)) >= 0.9 * SIZE, "most utterances must have a partner"
    split_of = {i: s for s in ("train", "validation", "test") for i in mead.split(s).tolist()}
    for group in groups:
        records = [mead.records[index] for index in group]
        assert len({(r.speaker, r.text) for r in records}) == 1, "one speaker, one sentence"
        assert len({r.emotion for r in records}) == len(records), "each emotion once at this size"
        assert len({split_of[index] for index in group.tolist()}) == 1, "groups cross no split"


@pytest.mark.parametrize("name", ["synthetic-mead", "synthetic-ravdess"])
@pytest.mark.parametrize("size", [None, 8, 12, 100, 400, 1000, 1440])
def test_every_size_is_planned_exactly(name: str, size: int | None) -> None:
    """Rounding of the shares must lose no utterance and repeat none."""
    design = synthetic_design(name, size=size)
    lines = plan(design)
    assert len(lines) == len({line.id for line in lines}) == design.size, "planned size"
    assert {line.split for line in lines} == {"train", "validation", "test"}, "splits"
    assert len({line.emotion for line in lines}) == 8, "emotions"


def test_full_grid_can_be_planned() -> None:
    """The largest size allowed must really be possible."""
    design = synthetic_design("synthetic-mead")
    full = dataclasses.replace(design, size=design.capacity)
    assert len({line.id for line in plan(full)}) == design.capacity, "full grid"


BAD_CALLS = [
    ({"name": "mead"}, "`name` must be one of ('synthetic-mead', 'synthetic-ravdess'), got 'mead'"),
    ({"size": 7}, "`size` must be in 8..33528 for 'synthetic-mead', got 7"),
    ({"size": 33_529}, "`size` must be in 8..33528 for 'synthetic-mead', got 33529"),
    ({"seed": -1}, "`seed` must be at least 0, got -1"),
    ({"n_workers": 0}, "`n_workers` must be at least 1, got 0"),
]


@pytest.mark.parametrize(("change", "message"), BAD_CALLS)
def test_bad_calls_are_rejected(change: dict[str, object], message: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "name": "synthetic-mead",
        "size": SIZE,
        "cache_dir": tmp_path,
        **change,
    }
    with pytest.raises(InputError, match=re.escape(message)):
        open_synthetic(**arguments)


def test_bad_reads_are_rejected(mead: SyntheticCorpus) -> None:
    with pytest.raises(IndexError, match=re.escape("`index` must be in 0..47, got 48")):
        mead[48]
    message = "`split` must be one of train, validation, test, got 'dev'"
    with pytest.raises(InputError, match=re.escape(message)):
        mead.split("dev")


def test_missing_extra_names_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing a user without the extra must read is how to get it."""

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    message = "The synthetic corpus needs `espeakng-loader`: run `pip install 'esarm[synthetic]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        open_synthetic("synthetic-mead", size=SIZE, cache_dir=tmp_path)


def test_import_loads_neither_espeak_nor_torch() -> None:
    """The GPL library belongs to the workers alone; torch would cost seconds."""
    code = (
        "import sys, esarm_env.corpus.synthetic;"
        "print(sorted({'espeakng_loader', 'torch', 'librosa', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"importing the corpus loaded {done.stdout}"


def test_pickle_carries_the_folder_only(mead: SyntheticCorpus) -> None:
    """Sub-process environments get the corpus by pickle; hundreds of megabytes would go along."""
    payload = pickle.dumps(mead)
    assert len(payload) < 1000, f"the pickle has {len(payload)} bytes"
    copy = pickle.loads(payload)
    assert np.array_equal(copy[3].audio, mead[3].audio), "the copy must read the same audio"


@pytest.mark.parametrize("name", [AUDIO_FILE, MOTION_FILE, INDEX_FILE])
def test_a_cached_corpus_that_changed_is_made_anew(
    mead: SyntheticCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Another byte in the cache would be another corpus under the same hash."""
    folder = tmp_path / "synthetic" / mead.folder.name
    shutil.copytree(mead.folder, folder)
    content = (folder / name).read_bytes()
    changed = content.replace(b'"neutral"', b'"happy"', 1) if name == INDEX_FILE else content[:-2]
    (folder / name).write_bytes(changed)
    made: list[Path] = []

    def generate(design: object, draft: Path, **_: object) -> None:
        made.append(draft)
        shutil.copytree(mead.folder, draft, dirs_exist_ok=True)

    monkeypatch.setattr(corpus_module, "generate", generate)
    with pytest.warns(UserWarning, match="must hold the corpus that was made, got"):
        again = open_synthetic("synthetic-mead", size=SIZE, cache_dir=tmp_path, progress=False)
    assert len(made) == 1 and again.records == mead.records
    open_synthetic("synthetic-mead", size=SIZE, cache_dir=tmp_path, progress=False)
    assert len(made) == 1, "what was made anew must be whole"

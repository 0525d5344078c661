"""Opening a task and a reward: from a run folder, by name, or from nothing at all."""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.shipped import shipped_run
from esarm_env.core.types import EMOTIONS, Corpus
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task import opening, run_corpus
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.emotion_curve import EmotionCurve
from esarm_env.task.opening import (
    EMOTIONS_KEY,
    assemble_task,
    emotions_of_run,
    need_file,
    open_problem,
    open_task,
    read_corpus_file,
    training_emotions,
    training_speakers,
)
from esarm_env.task.recording import AnimationCondition, SpeechReader
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer


def test_speakers_are_those_of_the_training_split(tiny_corpus: Corpus) -> None:
    """A stranger's own column would give the test split away."""
    assert training_speakers(tiny_corpus) == ("anna", "ben", "cleo")


def test_emotions_are_those_of_the_training_split(tiny_corpus: Corpus) -> None:
    """Of nine there are four in training; the test split's count for nothing."""
    assert training_emotions(tiny_corpus) == ("neutral", "angry", "happy", "sad")


def test_a_run_tells_the_emotions_that_it_was_trained_on(
    tmp_path: Path, tiny_corpus: Corpus
) -> None:
    """Also one of an earlier version, by its stage's summary; where neither tells, all may be."""
    folder = tmp_path / "run" / "corpus"
    folder.mkdir(parents=True)
    note, summary = folder / "corpus.json", folder / "summary.json"
    note.write_text(json.dumps(source_of(tiny_corpus)))
    assert emotions_of_run(tmp_path / "run") == EMOTIONS
    summary.write_text(json.dumps({"emotions": ["sad", "happy"]}))
    assert emotions_of_run(tmp_path / "run") == ("happy", "sad")
    note.write_text(json.dumps(source_of(tiny_corpus) | {EMOTIONS_KEY: ["sad", "calm"]}))
    assert emotions_of_run(tmp_path / "run") == ("calm", "sad")
    for damaged in ("sad", [1], {"sad": 1}, None):
        note.write_text(json.dumps(source_of(tiny_corpus) | {EMOTIONS_KEY: damaged}))
        with pytest.raises(InputError, match=re.escape(f"got {EMOTIONS_KEY} {damaged!r}")):
            emotions_of_run(tmp_path / "run")


def test_what_ships_was_never_shown_calm() -> None:
    """MEAD has no calm, so its column of the condition is as the dice fell."""
    assert emotions_of_run(shipped_run()) == tuple(name for name in EMOTIONS if name != "calm")
    rule = (
        "`emotion` must be among those that the run was trained on, neutral, angry, contempt, "
        "disgusted, fear, happy, sad, surprised, got calm: what its policy makes of others is "
        "chance"
    )
    curve = EmotionCurve.of([0, 9], {"happy": [1, 0.5], "calm": [0, 0.5]})
    audio = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    reader = SpeechReader()
    for emotion in ("calm", "Calm", "happy:0.5,calm:0.5", curve):
        with pytest.raises(InputError, match=f"^{re.escape(rule)}$"):
            reader.read(audio, AnimationCondition(emotion))
    never = EmotionCurve.of([0, 9], {"happy": [1, 1], "calm": [0, 0]})
    assert reader.read(audio, AnimationCondition(never)).condition[6] == 1  # a column of nothing


def test_a_task_is_assembled_by_names(
    tiny_corpus: Corpus, tiny_tokenizer: VQMotionTokenizer, tiny_task: AnimationTask
) -> None:
    """Features come from the cache; speakers from the split."""
    task = assemble_task(tiny_corpus, tiny_tokenizer, encoder="logmel")
    assert task.conditions == tiny_task.conditions
    np.testing.assert_array_equal(task.windows_of(3), tiny_task.windows_of(3))
    with pytest.raises(InputError, match=re.escape("`encoder` must be logmel, logmel-running")):
        assemble_task(tiny_corpus, tiny_tokenizer, encoder="mfcc")


def source_of(corpus: Corpus) -> dict[str, Any]:
    return {
        "corpus": "synthetic-mead",
        "size": 12,
        "seed": 5,
        "layout": "auto",
        "encoder": "logmel",
        "content_hash": corpus.content_hash,
        "speakers": ["anna", "ben", "cleo"],
    }


@pytest.fixture
def run(
    tmp_path: Path,
    tiny_corpus: Corpus,
    tiny_tokenizer: VQMotionTokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return a folder as the stages `corpus` and `prior` leave it."""

    def open_corpus(
        name: str,
        *,
        size: int | None,
        seed: int,
        layout: str,
        rate_hz: float | None,
        verify: bool,
        head: str | None,
    ) -> Corpus:
        assert rate_hz is None, "the run states no rate"
        assert head is None, "nor a head: it is of an earlier version"
        asked = (name, size, seed, layout)
        assert asked == ("synthetic-mead", 12, 5, "auto"), "the run's own corpus was asked for"
        assert verify, "a bad take that training left out would come back"
        return tiny_corpus

    monkeypatch.setattr(run_corpus, "open_corpus", open_corpus)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps(source_of(tiny_corpus)))
    tiny_tokenizer.save(tmp_path / "prior" / "tokenizer.safetensors")
    return tmp_path


def test_a_run_folder_gives_its_task(run: Path, tiny_task: AnimationTask) -> None:
    """The environment of a run must be the one that its policy was trained in."""
    for folder in (run, str(run)):
        task = open_task(folder)
        np.testing.assert_array_equal(task.windows_of(7), tiny_task.windows_of(7))
        np.testing.assert_array_equal(task.recorded_tokens(7), tiny_task.recorded_tokens(7))
        assert task.conditions == tiny_task.conditions
    env = SpeechAnimationEnv(run)
    assert env.reward_function.needs_ground_truth, "there is no learned reward in this run"
    assert env.action_space.n == 16


@pytest.mark.parametrize(
    ("name", "stage"),
    [("corpus/corpus.json", "corpus"), ("prior/tokenizer.safetensors", "prior")],
)
def test_a_missing_stage_is_rejected(run: Path, name: str, stage: str) -> None:
    """The message is the command that makes it."""
    (run / name).unlink()
    message = (
        f"{run}: must hold the stage `{stage}`, got none; run `esarm {stage} --run {run}` first"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_task(run)


def test_files_that_are_there_are_found(run: Path) -> None:
    """A folder in a file's place is no file."""
    assert need_file(run, "corpus/corpus.json") == run / "corpus" / "corpus.json"
    with pytest.raises(InputError, match=re.escape("must hold the stage `corpus`, got none")):
        need_file(run, "corpus")


def test_another_corpus_than_in_training_is_rejected(run: Path, tiny_corpus: Corpus) -> None:
    """Utterance indices would mean other sentences, and every score would be wrong."""
    path = run / "corpus" / "corpus.json"
    path.write_text(json.dumps(source_of(tiny_corpus) | {"content_hash": "0" * 64}))
    found = tiny_corpus.content_hash[:12]
    message = (
        f"{run}: its corpus synthetic-mead must be as it was in training (content 000000000000), "
        f"got other content ({found}); it may be of another version, or run the stages again in a "
        "new folder"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_task(run)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"not json", b'{"corpus": "\xff"}', b"[1]", b"5", b'{"seed": NaN}']
)
def test_a_damaged_note_is_rejected(run: Path, content: bytes) -> None:
    """After an interrupted copy the user must read which folder to delete, not a traceback."""
    path = run / "corpus" / "corpus.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be JSON, got ")) as caught:
        open_task(run)
    assert str(caught.value).endswith("; delete the stage's folder")


@pytest.mark.parametrize(
    "missing", [["corpus"], ["size", "encoder"], ["seed", "content_hash"], ["speakers"]]
)
def test_a_note_without_its_keys_is_rejected(
    run: Path, tiny_corpus: Corpus, missing: list[str]
) -> None:
    """A note of another version must not end in a KeyError."""
    path = run / "corpus" / "corpus.json"
    source = {key: value for key, value in source_of(tiny_corpus).items() if key not in missing}
    path.write_text(json.dumps(source))
    keys = "corpus, layout, size, seed, encoder, content_hash, speakers"
    message = (
        f"{path}: must have {keys}, got none for {', '.join(missing)}; delete the stage's folder"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_task(run)


def test_a_note_with_further_keys_is_allowed(run: Path, tiny_corpus: Corpus) -> None:
    """A later version may note more; and `size` may be null, for all utterances."""
    path = run / "corpus" / "corpus.json"
    source = source_of(tiny_corpus) | {"made": "2026"}
    path.write_text(json.dumps(source))
    assert read_corpus_file(run) == source
    path.write_text(json.dumps(source | {"size": None}))
    assert read_corpus_file(run)["size"] is None


def test_a_run_on_a_corpus_by_name_takes_no_other(run: Path, tmp_path: Path) -> None:
    """Which of the two won would be a guess; its own name says nothing new."""
    assert len(open_task(run, corpus="synthetic-mead").corpus) == 12
    for other in ("synthetic-mini", str(tmp_path)):
        message = (
            "`corpus` must be left out beside `run`, which was trained on synthetic-mead, got "
            f"{other!r}"
        )
        with pytest.raises(InputError, match=re.escape(message)):
            open_task(run, corpus=other)


def test_an_empty_name_is_no_corpus() -> None:
    """A shell variable that was never set must not open the default corpus."""
    with pytest.raises(InputError, match=re.escape("or a folder of recordings, got ''")):
        open_task(corpus="")


def test_recordings_get_a_tokenizer_of_their_own_once(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second `make` must take no training, and another corpus must not get this tokenizer."""
    opened = use_tiny_corpus(tiny_corpus, monkeypatch, cache=tmp_path)
    first = open_task(corpus="recordings")
    assert first.n_tokens == 8
    with monkeypatch.context() as patch:
        patch.delattr(opening, "train_tokenizer")
        second = open_task(corpus="recordings")
    np.testing.assert_array_equal(first.recorded_tokens(0), second.recorded_tokens(0))
    assert opened == ["recordings", "recordings"]
    (path,) = (tmp_path / "tokenizers").glob("*.safetensors")
    path.unlink()
    monkeypatch.delattr(opening, "train_tokenizer")
    with pytest.raises(NameError, match="train_tokenizer"):
        open_task(corpus="recordings")


def use_tiny_corpus(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch, *, cache: Path
) -> list[str]:
    """Let every corpus be `tiny_corpus` and every tokenizer small; return the names opened."""
    small = PriorConfig(
        n_tokens=8, hidden=8, code_dim=4, epochs=1, steps_per_epoch=1, batch_crops=4
    )
    opened: list[str] = []

    def open_corpus(name: str, *, verify: bool) -> Corpus:
        assert verify, "a bad take must not stop the features"
        opened.append(name)
        return tiny_corpus

    monkeypatch.setenv("ESARM_CACHE", str(cache))
    monkeypatch.setattr(opening, "open_corpus", open_corpus)
    monkeypatch.setattr(opening, "PriorConfig", lambda **_: small)
    return opened


@pytest.mark.parametrize("name", ["synthetic-mead", "synthetic-ravdess"])
def test_synthetic_corpora_get_the_shipped_tokenizer(
    name: str, tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """A policy of the small corpus must mean the same by its tokens on a large one."""
    opened = use_tiny_corpus(tiny_corpus, monkeypatch, cache=cache)
    monkeypatch.delattr(opening, "train_tokenizer")
    task, run = open_problem(corpus=name)
    assert opened == [name]
    assert task.n_tokens == 256
    assert task.conditions.speakers == ("anna", "ben", "cleo"), "its own speakers"
    assert run == shipped_run()


def test_nothing_given_is_the_shipped_problem(cache: Path) -> None:
    """Both ways to say it, and the folder that has the learned reward."""
    for given in ({}, {"corpus": "synthetic-mini"}, {"run": shipped_run()}):
        task, run = open_problem(**given)
        assert run == shipped_run()
        assert (task.corpus.name, len(task.corpus), task.n_tokens) == ("synthetic-mini", 192, 256)
        assert task.conditions.speakers == tuple(f"S{number:02d}" for number in range(1, 10))


def test_a_task_stays_as_it_is(tiny_task: AnimationTask, tmp_path: Path) -> None:
    """The shipped reward would score tokens that mean something else."""
    assert open_problem(task=tiny_task) == (tiny_task, None)
    assert open_problem(str(tmp_path), task=tiny_task) == (tiny_task, tmp_path)


def test_recordings_have_no_learned_reward(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The shipped one has seen the rule model alone."""
    use_tiny_corpus(tiny_corpus, monkeypatch, cache=tmp_path)
    assert open_problem(corpus="recordings")[1] is None


def test_a_corpus_excludes_a_task(tiny_task: AnimationTask) -> None:
    """Which of the two won would be a guess."""
    message = "`corpus` must be left out beside `task`, got 'synthetic-mini'"
    with pytest.raises(InputError, match=re.escape(message)):
        open_problem(task=tiny_task, corpus="synthetic-mini")


def test_a_cache_that_cannot_be_written_costs_time_alone(
    tiny_corpus: Corpus, tiny_task: AnimationTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a container with a read-only home, the first line must still work."""
    blocked = tmp_path / "a file where the folder should be"
    blocked.touch()
    use_tiny_corpus(tiny_corpus, monkeypatch, cache=blocked / "esarm")
    with pytest.warns(UserWarning) as caught:
        task = open_task(corpus="recordings")
    said = [str(warning.message) for warning in caught]
    assert len(said) == 2, "tokenizer and features"
    assert all(text.startswith(f"computed for this process only: {blocked}") for text in said)
    assert "set ESARM_CACHE to another" in said[1]
    np.testing.assert_array_equal(task.features[3], tiny_task.features[3])
    assert task.recorded_tokens(0).max() < 8


def test_an_error_that_is_not_the_cache_s_stays(
    tiny_corpus: Corpus, tiny_tokenizer: VQMotionTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are missing would be looked for twice, and the cache be blamed."""

    def refuse(*_: Any, **__: Any) -> None:
        raise InputError("no such weights")

    monkeypatch.setattr(opening, "open_features", refuse)
    with pytest.raises(InputError, match="no such weights"):
        assemble_task(tiny_corpus, tiny_tokenizer, encoder="logmel")


def test_nothing_at_all_gives_a_working_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line that anyone types: offline, on a laptop, without a run or an extra."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.delattr(opening, "train_tokenizer")
    with gymnasium.make("ESARM-v0") as env:
        obs, _ = env.reset(seed=0)
        assert env.observation_space.contains(obs)
        terminated, reward, info = False, 0.0, {}
        while not terminated:
            obs, reward, terminated, _, info = env.step(0)
        assert info["rewards"] == {"learned": reward}
        assert np.isfinite(reward)


@pytest.mark.parametrize("encoder", ["phones:0.9", "phones+logmel:0.9"])
def test_a_run_of_another_hama_is_refused(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its policy knows other posteriors: it would animate, and wrongly."""
    monkeypatch.setattr(metadata, "version", lambda name: {"hama": "1.7.0"}[name])
    shutil.copytree(shipped_run(), tmp_path / "run")
    note = tmp_path / "run" / "corpus" / "corpus.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"encoder": encoder}))
    said = (
        "`hama` must be 0.9, which the audio features were made with, got 1.7.0: run "
        "`pip install 'hama==0.9'`, or the stages again in a new folder"
    )
    for use in (open_task, SpeechReader):
        with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
            use(tmp_path / "run")


def test_samples_and_features_that_are_no_numbers_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A policy that hears nan freezes the face, and nobody sees why."""
    audio = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    audio[8000] = np.nan
    with pytest.raises(InputError, match=r"^`audio` must be finite, got nan or infinity$"):
        SpeechReader().read(audio, AnimationCondition())
    audio[8000] = 0
    reader = SpeechReader()
    broken = SimpleNamespace(encode=lambda audio: np.full((30, 35), np.inf, np.float32))
    monkeypatch.setattr(reader, "_encoder", broken)
    with pytest.raises(InputError, match=r"^audio features of the recording must be finite, got"):
        reader.read(audio, AnimationCondition())

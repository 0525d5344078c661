"""Opening a task and a reward: from a run folder, by name, or from nothing at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from esarm_env import opening
from esarm_env.env import SpeechAnimationEnv
from esarm_env.errors import InputError
from esarm_env.opening import (
    assemble_task,
    need_file,
    open_task,
    read_corpus_file,
    resolve_reward,
    reward_names,
    training_speakers,
)
from esarm_env.task import AnimationTask
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer
from esarm_env.types import Corpus, Trajectories

OURS = ("accuracy", "eve", "learned", "lve")


class Zero:
    """The smallest reward there is."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.zeros(len(trajectories), np.float32)


class Point:
    """An entry point of another package; remembers what its factory was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def load(self) -> Callable[..., Zero]:
        def factory(task: AnimationTask, run: Path | None) -> Zero:
            self.calls.append((task, run))
            return Zero()

        return factory


def test_our_rewards_are_registered() -> None:
    """The entry points are read from the installed package; a stale install lacks them."""
    assert set(OURS) <= set(reward_names())


@pytest.mark.parametrize("name", ["accuracy", "lve", "eve"])
def test_a_name_gives_its_reward(tiny_task: AnimationTask, name: str) -> None:
    """Each is minus its own error, so that no table names another's."""
    given, reward = resolve_reward(name, tiny_task, None)
    recorded = tiny_task.recorded(np.arange(12))
    errors = tiny_task.errors(recorded)
    expected = {
        "accuracy": -(errors["lve"] + errors["eve"]) / 2,
        "lve": -errors["lve"],
        "eve": -errors["eve"],
    }
    assert given == name
    assert reward.needs_ground_truth is True
    np.testing.assert_allclose(reward.score(recorded), expected[name], rtol=1e-6)


def test_another_packages_reward_is_found_by_name(
    tiny_task: AnimationTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its factory needs the task and the run folder."""
    point = Point()
    monkeypatch.setattr(opening, "reward_names", lambda: {"theirs": point})
    name, reward = resolve_reward("theirs", tiny_task, str(tmp_path))
    assert name == "theirs"
    assert isinstance(reward, Zero)
    resolve_reward("theirs", tiny_task, None)
    assert point.calls == [(tiny_task, tmp_path), (tiny_task, None)]


def test_the_default_is_the_learned_reward_where_there_is_one(
    tiny_task: AnimationTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the accuracy by default, PPO would train on the ground truth unasked."""
    points = {"learned": Point(), "accuracy": Point()}
    monkeypatch.setattr(opening, "reward_names", lambda: points)
    assert resolve_reward(None, tiny_task, None)[0] == "accuracy"
    assert resolve_reward(None, tiny_task, tmp_path)[0] == "accuracy"
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "reward.safetensors").touch()
    assert resolve_reward(None, tiny_task, tmp_path)[0] == "learned"
    assert resolve_reward("accuracy", tiny_task, tmp_path)[0] == "accuracy"


def test_an_object_is_a_reward_under_its_class_name(tiny_task: AnimationTask) -> None:
    """Without a registry: the quickest way to try a reward."""
    reward = Zero()
    assert resolve_reward(reward, tiny_task, None) == ("Zero", reward)


@pytest.mark.parametrize("name", ["", "Accuracy", "bleu"])
def test_an_unknown_reward_is_rejected(tiny_task: AnimationTask, name: str) -> None:
    """The message lists what is installed, other packages' rewards too."""
    valid = ", ".join(sorted(reward_names()))
    message = f"`reward` must be one of {valid}, got {name!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward(name, tiny_task, None)
    assert all(ours in valid for ours in OURS)


@pytest.mark.parametrize(("reward", "shown"), [(3, "int"), (object(), "object"), (len, "builtin")])
def test_an_object_that_cannot_score_is_rejected(
    tiny_task: AnimationTask, reward: Any, shown: str
) -> None:
    """At the start, not at the end of the first episode."""
    message = f"`reward` must have `score` and `needs_ground_truth`, got {shown}"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward(reward, tiny_task, None)


def test_the_learned_reward_needs_a_run(tiny_task: AnimationTask, tmp_path: Path) -> None:
    """Both ways out stand in the message."""
    message = "`run` must be a run folder for the reward `learned`, got none"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward("learned", tiny_task, None)
    message = f"{tmp_path}: must hold the stage `reward`, got none"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward("learned", tiny_task, tmp_path)


def test_speakers_are_those_of_the_training_split(tiny_corpus: Corpus) -> None:
    """A stranger's own column would give the test split away."""
    assert training_speakers(tiny_corpus) == ("anna", "ben", "cleo")


def test_a_task_is_assembled_by_names(
    tiny_corpus: Corpus, tiny_tokenizer: VQMotionTokenizer, tiny_task: AnimationTask
) -> None:
    """Features come from the cache; speakers from the split."""
    task = assemble_task(tiny_corpus, tiny_tokenizer, encoder="logmel")
    assert task.conditions == tiny_task.conditions
    np.testing.assert_array_equal(task.windows_of(3), tiny_task.windows_of(3))
    with pytest.raises(InputError, match=re.escape("`encoder` must be logmel, wavlm")):
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

    def open_corpus(name: str, *, size: int | None, seed: int, layout: str, verify: bool) -> Corpus:
        asked = (name, size, seed, layout)
        assert asked == ("synthetic-mead", 12, 5, "auto"), "the run's own corpus was asked for"
        assert verify, "a bad take that training left out would come back"
        return tiny_corpus

    monkeypatch.setattr(opening, "open_corpus", open_corpus)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps(source_of(tiny_corpus)))
    tiny_tokenizer.save(tmp_path / "prior" / "tokenizer.safetensors")
    return tmp_path


def test_a_run_folder_gives_its_task(run: Path, tiny_task: AnimationTask) -> None:
    """The environment of a run must be the one that its policy was trained in."""
    for folder in (run, str(run)):
        task = open_task(folder)
        np.testing.assert_array_equal(task.windows_of(7), tiny_task.windows_of(7))
        np.testing.assert_array_equal(task.demonstration(7), tiny_task.demonstration(7))
        assert task.conditions == tiny_task.conditions
    env = SpeechAnimationEnv(run)
    assert env.reward_name == "accuracy"
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
    message = (
        f"{run}: its corpus synthetic-mead must be as it was in training, got other content; "
        "run the stages again in a new folder"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        open_task(run)


@pytest.mark.parametrize("content", [b"", b"{", b"not json", b'{"corpus": "\xff"}'])
def test_a_damaged_note_is_rejected(run: Path, content: bytes) -> None:
    """After an interrupted copy the user must read which folder to delete, not a traceback."""
    path = run / "corpus" / "corpus.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be JSON, got ")) as caught:
        open_task(run)
    assert str(caught.value).endswith("; delete the stage's folder")


@pytest.mark.parametrize(
    "missing", [["corpus"], ["size", "encoder"], ["seed", "content_hash"], ["speakers"], []]
)
def test_a_note_without_its_keys_is_rejected(
    run: Path, tiny_corpus: Corpus, missing: list[str]
) -> None:
    """A note of another version must not end in a KeyError; [] stands for JSON that is a list."""
    path = run / "corpus" / "corpus.json"
    source = {key: value for key, value in source_of(tiny_corpus).items() if key not in missing}
    path.write_text(json.dumps(source if missing else list(source)))
    keys = "corpus, layout, size, seed, encoder, content_hash, speakers"
    message = (
        f"{path}: must have {keys}, got none for {', '.join(missing) or keys}; "
        "delete the stage's folder"
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


def test_run_and_corpus_exclude_each_other(run: Path) -> None:
    """Which of the two won would be a guess."""
    message = "`corpus` must be left out beside `run`, got 'synthetic-mead'"
    with pytest.raises(InputError, match=re.escape(message)):
        open_task(run, corpus="synthetic-mead")


def test_an_empty_name_is_no_corpus() -> None:
    """A shell variable that was never set must not open the default corpus."""
    with pytest.raises(InputError, match=re.escape("or a folder of recordings, got ''")):
        open_task(corpus="")


def test_a_small_task_trains_its_tokenizer_once(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second `make` must take no training, and another corpus must not get this tokenizer."""
    small = PriorConfig(n_tokens=8, hidden=8, code_dim=4, epochs=1, steps_per_epoch=1, batch_size=4)
    opened: list[tuple[str, int | None]] = []

    def open_corpus(name: str, *, size: int | None, verify: bool) -> Corpus:
        assert verify, "a bad take must not stop the features"
        opened.append((name, size))
        return tiny_corpus

    monkeypatch.setenv("ESARM_CACHE", str(tmp_path))
    monkeypatch.setattr(opening, "open_corpus", open_corpus)
    monkeypatch.setattr(opening, "PriorConfig", lambda **_: small)
    first = open_task()
    monkeypatch.delattr(opening, "train_tokenizer")
    second = open_task(corpus="synthetic-mead")
    np.testing.assert_array_equal(first.demonstration(0), second.demonstration(0))
    assert opened == [("synthetic-mead", 48), ("synthetic-mead", None)]
    (path,) = (tmp_path / "tokenizers").iterdir()
    path.unlink()
    with pytest.raises(NameError, match="train_tokenizer"):
        open_task()


def test_nothing_at_all_gives_a_working_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line that anyone types: offline, on a laptop, without a run folder."""
    pytest.importorskip("espeakng_loader")
    with gymnasium.make("ESARM-v0") as env:
        obs, _ = env.reset(seed=0)
        assert env.observation_space.contains(obs)
        terminated, reward, info = False, 0.0, {}
        while not terminated:
            obs, reward, terminated, _, info = env.step(0)
        assert info["rewards"] == {"accuracy": reward}
        assert reward < 0
    monkeypatch.delattr(opening, "train_tokenizer")
    with gymnasium.make("ESARM-v0") as env:
        np.testing.assert_equal(env.reset(seed=0)[0]["step"], [0])

"""Open a task from a run folder or from nothing, and a reward by its name."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from esarm_env.audio.features import make_encoder
from esarm_env.audio.store import open_features
from esarm_env.cache import cache_dir
from esarm_env.conditions import ConditionEncoder
from esarm_env.corpus import open_corpus
from esarm_env.errors import InputError
from esarm_env.face.head import load_head
from esarm_env.task import AnimationTask
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, load_tokenizer, train_tokenizer
from esarm_env.types import Corpus, RewardFunction

REWARD_GROUP = "esarm.rewards"
DEFAULT_CORPUS, DEFAULT_SIZE = "synthetic-mead", 48
CORPUS_FILE, TOKENIZER_FILE = "corpus/corpus.json", "prior/tokenizer.safetensors"
CORPUS_KEYS = ("corpus", "layout", "size", "seed", "encoder", "content_hash", "speakers")
REWARD_FILE = "reward/reward.safetensors"


def open_task(run: str | Path | None = None, *, corpus: str | None = None) -> AnimationTask:
    """Open the task of a run folder; without one, a small task of its own (cached).

    Args:
        run: A folder that the stages `corpus` and `prior` have filled.
        corpus: Without `run`: a corpus by name or folder.

    Raises:
        InputError: If `run` lacks a stage, or both are given.
    """
    if run is None:
        return _small_task(corpus)
    if corpus is not None:
        raise InputError(f"`corpus` must be left out beside `run`, got {corpus!r}")
    source = read_corpus_file(Path(run))
    opened = open_corpus(
        source["corpus"],
        size=source["size"],
        seed=source["seed"],
        layout=source["layout"],
        verify=True,
    )
    if opened.content_hash != source["content_hash"]:
        raise InputError(
            f"{run}: its corpus {source['corpus']} must be as it was in training, "
            "got other content; run the stages again in a new folder"
        )
    tokenizer = load_tokenizer(need_file(Path(run), TOKENIZER_FILE))
    return assemble_task(opened, tokenizer, encoder=source["encoder"])


def assemble_task(corpus: Corpus, tokenizer: VQMotionTokenizer, *, encoder: str) -> AnimationTask:
    """Return the task of `corpus` with the features of `encoder`, computed at the first use."""
    features = open_features(corpus, make_encoder(encoder), cache=cache_dir())
    conditions = ConditionEncoder(training_speakers(corpus))
    return AnimationTask(corpus, features, tokenizer, load_head(), conditions)


def training_speakers(corpus: Corpus) -> tuple[str, ...]:
    """Return the speakers of the training split, sorted."""
    return tuple(sorted({corpus.records[int(i)].speaker for i in corpus.split("train")}))


def read_corpus_file(run: Path) -> dict[str, Any]:
    """Return what the stage `corpus` noted; it has at least the keys `CORPUS_KEYS`."""
    path = need_file(run, CORPUS_FILE)
    try:
        source = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: must be JSON, got {error}; delete the stage's folder") from error
    missing = [key for key in CORPUS_KEYS if not isinstance(source, dict) or key not in source]
    if missing:
        raise InputError(
            f"{path}: must have {', '.join(CORPUS_KEYS)}, got none for {', '.join(missing)}; "
            "delete the stage's folder"
        )
    return dict(source)


def need_file(run: Path, name: str) -> Path:
    """Return the path of a stage's file, or raise an error that names the stage to run."""
    if not (run / name).is_file():
        stage = name.split("/")[0]
        raise InputError(
            f"{run}: must hold the stage `{stage}`, got none; run `esarm {stage} --run {run}` first"
        )
    return run / name


def _small_task(name: str | None) -> AnimationTask:
    """Return a task whose tokenizer is trained here, in seconds, and cached."""
    size = DEFAULT_SIZE if name is None else None
    corpus = open_corpus(DEFAULT_CORPUS if name is None else name, size=size, verify=True)
    config = PriorConfig(epochs=8, steps_per_epoch=20, batch_size=16, hidden=64)
    key = hashlib.sha256(f"{corpus.content_hash}/{config}".encode()).hexdigest()[:24]
    path = cache_dir() / "tokenizers" / f"{key}.safetensors"
    if not path.is_file():
        motions = [corpus[int(index)].motion for index in corpus.split("train")]
        train_tokenizer(motions, load_head(), config=config, seed=0, progress=True).save(path)
    return assemble_task(corpus, load_tokenizer(path), encoder="logmel")


def reward_names() -> dict[str, EntryPoint]:
    """Return the installed rewards by name (entry-point group `esarm.rewards`)."""
    return {point.name: point for point in entry_points(group=REWARD_GROUP)}


def resolve_reward(
    reward: str | RewardFunction | None, task: AnimationTask, run: str | Path | None
) -> tuple[str, RewardFunction]:
    """Return name and object of a reward.

    Args:
        reward: A registered name, an object with `score`, or None for the default: `learned`
            where `run` holds a reward model, else `accuracy`.
        task: Handed to the factory that the name stands for.
        run: Likewise; None without a run folder.

    Raises:
        InputError: If the name is not registered or the object has no `score`.
    """
    if reward is None:
        reward = "learned" if run and (Path(run) / REWARD_FILE).is_file() else "accuracy"
    if not isinstance(reward, str):
        if not isinstance(reward, RewardFunction):
            raise InputError(
                f"`reward` must have `score` and `needs_ground_truth`, got {type(reward).__name__}"
            )
        return type(reward).__name__, reward
    known = reward_names()
    if reward not in known:
        raise InputError(f"`reward` must be one of {', '.join(sorted(known))}, got {reward!r}")
    factory = known[reward].load()
    made: RewardFunction = factory(task, None if run is None else Path(run))
    return reward, made

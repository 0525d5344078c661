"""Opening of tasks: from a run folder, a corpus, or the files that ship with the package."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import esarm_env.core.processors  # noqa: F401  # lets forked workers compute
from esarm_env.audio.features import make_encoder
from esarm_env.audio.store import FeatureStore, open_features, open_rows
from esarm_env.core.cache import cache_dir, file_digest, write_text
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.hub.folders import local_folder
from esarm_env.core.run_layout import (
    ENCODER_FILE,
    TOKENIZER_FILE,
    WAVLM_FILE,
    is_export,
    is_file,
    need_file,
)
from esarm_env.core.shipped import MINI_CORPUS, shipped_run
from esarm_env.corpus import CORPUS_NAMES, open_corpus
from esarm_env.encoder.network import SpeechEncoder, load_speech_encoder
from esarm_env.face.head import load_head
from esarm_env.task.animation_task import CONTEXT_CHUNKS, HEARD_CONTEXT_CHUNKS, AnimationTask
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.task.run_corpus import (
    CORPUS_KEYS,
    EMOTIONS_KEY,
    NoRecordings,
    emotions_of_run,
    open_run_corpus,
    read_corpus_file,
    training_emotions,
    training_speakers,
)
from esarm_env.tokenizer import PriorConfig, VQMotionTokenizer, load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from esarm_env.audio.encoders.frames import AudioEncoder
    from esarm_env.core.types import Corpus

__all__ = [
    "CORPUS_KEYS",
    "EMOTIONS_KEY",
    "assemble_task",
    "context_of",
    "emotions_of_run",
    "find_speech_encoder",
    "open_audio_encoder",
    "open_heard",
    "open_problem",
    "open_run_corpus",
    "open_speech_task",
    "open_task",
    "read_corpus_file",
    "training_emotions",
    "training_speakers",
]


def open_problem(
    run: str | Path | None = None,
    *,
    task: AnimationTask | None = None,
    corpus: str | None = None,
) -> tuple[AnimationTask, Path | None]:
    """Resolve an environment's arguments to its task and the run folder of its learned reward.

    | given | task | run |
    |---|---|---|
    | nothing | the one that ships with the package | the shipped one |
    | `run` | the run's | `run` |
    | `task`, with or without `run` | `task` | `run` or None |
    | `corpus` by a name of ours | the corpus with the shipped tokenizer | the shipped one |
    | `corpus` as a folder | the recordings with a tokenizer of their own | None |
    | `corpus` beside `run` | the run's, its recordings being there now | `run` |
    | `corpus` beside an export | that corpus with the export's tokenizer | `run` |

    The shipped tokenizer and reward model come from the rule model that all synthetic corpora are
    made by; recordings of people are something else, and have no learned reward before a run.

    Args:
        run: A run folder, or `hf://user/name@revision` for one on the Hub.
        task: A task made by hand.
        corpus: A corpus by name or folder; beside `run` see `open_task`.

    Raises:
        InputError: If `corpus` is given beside `task`, or something cannot be opened.
    """
    if corpus is not None and task is not None:
        raise InputError(f"`corpus` must be left out beside `task`, got {corpus!r}")
    if task is not None:
        return task, None if run is None else local_folder(run)
    if run is None and corpus is not None:
        return open_task(corpus=corpus), shipped_run() if corpus in CORPUS_NAMES else None
    folder = shipped_run() if run is None else local_folder(run)
    return open_task(folder, corpus=corpus), folder


def open_task(run: str | Path | None = None, *, corpus: str | None = None) -> AnimationTask:
    """Open the task of a run folder, of a corpus, or of the files that ship with the package.

    Args:
        run: A folder that the stages `corpus` and `prior` have filled, or `hf://user/name`;
            without `corpus`, None stands for the shipped one.
        corpus: Without `run`: a corpus by name, which gets the shipped tokenizer, or a folder of
            recordings, for which a small tokenizer is trained at the first use and cached. Beside
            a run: where its recordings are now, if they have moved. Beside an export: any corpus.

    Raises:
        InputError: If `run` lacks a stage, its corpus cannot be found, or `corpus` has other
            content than it was trained on.
    """
    if run is None and corpus not in (None, MINI_CORPUS):
        return _task_of_corpus(str(corpus))
    folder = shipped_run() if run is None else local_folder(run)
    speech_encoder = find_speech_encoder(folder)
    return assemble_task(
        open_run_corpus(folder, corpus),
        load_tokenizer(need_file(folder, TOKENIZER_FILE)),
        encoder=open_audio_encoder(folder, speech_encoder),
        speech_encoder=speech_encoder,
        speakers=tuple(read_corpus_file(folder)["speakers"]),
    )


def open_speech_task(run: str | Path) -> AnimationTask:
    """Open what recordings of speech are added to (`esarm_env.task.extended`): a run's task.

    Of an export whose recordings are not there, it is one without utterances.

    Raises:
        InputError: As `open_task`.
    """
    folder = local_folder(run)
    source = read_corpus_file(folder)
    if not is_export(folder) or source["corpus"] in CORPUS_NAMES:
        return open_task(folder)
    speech_encoder = find_speech_encoder(folder)
    heard = speech_encoder or open_audio_encoder(folder, None)
    return AnimationTask(
        NoRecordings(),
        FeatureStore(np.zeros((0, heard.dim), dtype=np.float16), []),
        load_tokenizer(need_file(folder, TOKENIZER_FILE)),
        load_head(),
        ConditionEncoder(tuple(source["speakers"])),
        context=context_of(speech_encoder),
        speech_encoder=speech_encoder,
    )


def find_speech_encoder(run_path: Path) -> SpeechEncoder | None:
    """Return the speech encoder of a run; None where policies hear the audio features themselves.

    Raises:
        InputError: If it is damaged.
    """
    path = run_path / ENCODER_FILE
    return load_speech_encoder(path) if is_file(path) else None


def open_audio_encoder(run_path: Path, speech_encoder: SpeechEncoder | None) -> AudioEncoder:
    """Return the audio encoder of a run: the one that it names, or its own fine-tuned WavLM.

    Nothing is fetched.

    Args:
        run_path: The run folder.
        speech_encoder: Of the run; it tells whether WavLM learned with it.

    Raises:
        InputError: If the run lacks its stage `corpus`, or its WavLM is missing, damaged, or
            another than its speech encoder was trained with.
        MissingExtraError: If a package that it needs is not installed.
    """
    name = str(read_corpus_file(run_path)["encoder"])
    wanted = speech_encoder.shape.tuned_features if speech_encoder is not None else ""
    if not wanted:
        return make_encoder(name, fetch=False)
    from esarm_env.audio.encoders.tuned_wavlm import load_tuned_wavlm

    path = run_path / WAVLM_FILE
    tuned = load_tuned_wavlm(path)
    if tuned.key != wanted:
        raise InputError(
            f"{path}: must hold the WavLM that {ENCODER_FILE} was trained with, got another; copy "
            "both from the same run, or delete the stage and run it again"
        )
    return tuned


def assemble_task(
    corpus: Corpus,
    tokenizer: VQMotionTokenizer,
    *,
    encoder: str | AudioEncoder,
    speech_encoder: SpeechEncoder | None = None,
    fetch: bool = True,
    speakers: tuple[str, ...] | None = None,
) -> AnimationTask:
    """Return the task of `corpus` with the features of `encoder`, computed at the first use.

    Args:
        corpus: Speech and motion.
        tokenizer: Of the motion.
        encoder: The audio encoder, or its name, see `esarm_env.audio.features.make_encoder`.
        speech_encoder: What policies hear through; None lets them hear the audio features.
        fetch: Whether its weights may be fetched from a hub; not where a file names it.
        speakers: Whom the condition has columns for; None stands for the training speakers.
    """
    made = make_encoder(encoder, fetch=fetch) if isinstance(encoder, str) else encoder
    features = _cached(lambda cache: open_features(corpus, made, cache=cache))
    if speech_encoder is not None:
        heard = speech_encoder
        plain = features
        features = _cached(
            lambda cache: open_heard(corpus, plain, heard, cache=cache, key=made.key)
        )
    return AnimationTask(
        corpus,
        features,
        tokenizer,
        load_head(),
        ConditionEncoder(training_speakers(corpus) if speakers is None else speakers),
        context=context_of(speech_encoder),
        speech_encoder=speech_encoder,
    )


def open_heard(
    corpus: Corpus, features: FeatureStore, encoder: SpeechEncoder, *, cache: Path, key: str
) -> FeatureStore:
    """Open the cached streams of `corpus`, (T, encoder.dim) each; the first call computes them.

    Environments, vector environments, trainers and stock algorithms look them up by utterance
    index, so all see the same numbers.

    Args:
        corpus: Gives the lengths.
        features: Audio features of the same utterances.
        encoder: Of the run.
        cache: Folder of all cached features.
        key: Tells what `features` depend on besides the corpus: the audio encoder's key.

    Raises:
        InputError: If the cache cannot be written, or the disk is full.
    """
    return open_rows(
        f"{corpus.content_hash}/{key}/{encoder.content_hash()}",
        lambda index: encoder.encode(features[index]),
        corpus=corpus,
        dim=encoder.dim,
        cache=cache,
        title="Speech streams",
    )


def context_of(speech_encoder: SpeechEncoder | None) -> int:
    """Return the chunks of audio that a policy hears around the current one."""
    return CONTEXT_CHUNKS if speech_encoder is None else HEARD_CONTEXT_CHUNKS


def _task_of_corpus(name: str) -> AnimationTask:
    """Open the task of a corpus that has no run folder."""
    corpus = open_corpus(name, verify=True)
    if name in CORPUS_NAMES:
        tokenizer = load_tokenizer(need_file(shipped_run(), TOKENIZER_FILE))
    else:
        tokenizer = _own_tokenizer(corpus)
    return assemble_task(corpus, tokenizer, encoder="logmel")


def _own_tokenizer(corpus: Corpus) -> VQMotionTokenizer:
    """Train a small tokenizer on `corpus` in seconds, or load it from the cache."""
    config = PriorConfig(epochs=8, steps_per_epoch=20, batch_crops=16, hidden=64)
    key = hashlib.sha256(f"{corpus.content_hash}/{config}".encode()).hexdigest()[:24]
    path = _cache() / "tokenizers" / f"{key}.safetensors"
    note = path.with_suffix(".sha256")
    if path.is_file():
        try:
            if file_digest(path) != note.read_text().strip():
                raise ValueError("others")
            return load_tokenizer(path)
        except (OSError, ValueError) as error:
            warnings.warn(
                f"{path}: must hold the weights that were trained, got {one_line(error)}; they are "
                "trained anew",
                stacklevel=4,
            )
    motions = [corpus[int(index)].motion for index in corpus.split("train")]
    tokenizer = train_tokenizer(motions, load_head(), config=config, seed=0, progress=True)
    try:
        tokenizer.save(path)
        write_text(note, f"{file_digest(path)}\n")
    except InputError as error:  # a cache that cannot be written costs time alone
        _warn_of_cache(str(error))
    return tokenizer.eval()


def _cached(open_store: Callable[[Path], FeatureStore]) -> FeatureStore:
    """Return the features that a function opens, in a temporary folder where no cache can be."""
    try:
        return open_store(_cache())
    except InputError as error:
        if _is_writable(_cache()):
            raise
        _warn_of_cache(str(error))
    return open_store(_cache_of_this_process())


def _cache() -> Path:
    """Return the cache folder; one of this process where there is no home to have it in."""
    try:
        return cache_dir()
    except InputError as error:
        _warn_of_cache(str(error))
        return _cache_of_this_process()


@functools.cache
def _cache_of_this_process() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="esarm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _warn_of_cache(reason: str) -> None:
    warnings.warn(f"computed for this process only: {reason}", stacklevel=3)

"""Compare: two to four methods on one utterance of the corpus, with errors and scores over time.

Where the reward model thinks an animation is bad is told chunk by chunk, on the scale of its score:
their mean is the score.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import REWARD_FILE, experiment_policies, is_file
from esarm_env.core.shipped import shipped_run
from esarm_env.task.run_corpus import open_run_corpus
from train.studio.asking import Asked, read_asked, studio_of, whole_in
from train.studio.takes import Take

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from esarm_env.core.types import Corpus, FloatArray, Record
    from esarm_env.task.animation_task import AnimationTask
    from reward.plugins.learned import LearnedReward
    from train.figure5.methods import RunMethods
    from train.studio.jobs import Job
    from train.studio.studio import Studio

FEWEST, MOST = 1, 4
SPLITS = ("test", "validation", "train")
_MOST_LISTED = 200
_MOST_SEED = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Bench:
    """What comparisons need of a run, opened once.

    Attributes:
        task: Of the run.
        methods: That animate its utterances.
        reward: The learned one; None where the run has none.
    """

    task: AnimationTask
    methods: RunMethods
    reward: LearnedReward | None


class Comparisons:
    """The corpus and the methods of one run, opened when they are first asked for."""

    def __init__(self, run_path: Path) -> None:
        self.run_path = run_path
        self._lock = threading.Lock()
        self._corpus: Corpus | None = None
        self._bench: Bench | None = None

    @property
    def corpus(self) -> Corpus:
        """The run's corpus.

        Raises:
            InputError: If its recordings are not there.
        """
        with self._lock:
            if self._corpus is None:
                self._corpus = open_run_corpus(self.run_path)
            return self._corpus

    def bench(self) -> Bench:
        """Return what animates and judges; the first call takes seconds.

        Raises:
            InputError: If the run lacks a stage, or its recordings are not there.
        """
        from esarm_env.task.opening import open_task
        from reward.plugins.heads import open_both_heads
        from train.figure5.methods import RunMethods

        if self._bench is None:  # of the one thread that does jobs
            task = open_task(self.run_path)
            has_reward = is_file(self.run_path / REWARD_FILE)
            reward = open_both_heads(task, self.run_path) if has_reward else None
            self._bench = Bench(task, RunMethods(self.run_path, task), reward)
        return self._bench


def comparisons_of(studio: Studio) -> Comparisons:
    """Return the comparisons of the studio's run, of the shipped one where it has none yet."""
    folder = studio.run if studio.run is not None and studio.policies.runs else shipped_run()
    found: Comparisons | None = studio.kept.get("compare")
    if found is None or found.run_path != folder:
        found = studio.kept["compare"] = Comparisons(folder)
    return found


def list_utterances(request: Request) -> Response:
    """List utterances, `?split=test&search=text&from=0`, and the methods that there are."""
    query, comparisons = request.query_params, comparisons_of(studio_of(request))
    split = query.get("split", "test")
    if split not in SPLITS:
        raise InputError(f"`split` must be one of {', '.join(SPLITS)}, got {split!r:.40}")
    begin = whole_in(query.get("from", "0"), "from", 0, 10**9)
    words = query.get("search", "").casefold().split()[:20]
    corpus = comparisons.corpus
    indices = [int(i) for i in corpus.split(split)]
    found = [i for i in indices if all(word in _said(corpus.records[i]) for word in words)]
    return JSONResponse(
        {
            "corpus": corpus.name,
            "count": len(found),
            "utterances": [
                _told(i, corpus.records[i]) for i in found[begin : begin + _MOST_LISTED]
            ],
            "methods": _method_names(comparisons.run_path),
        }
    )


async def begin(request: Request) -> Response:
    """Begin a comparison: `{"utterance": id, "methods": [...], "seed": 0}`."""
    studio, asked = studio_of(request), await read_asked(request)
    name, seed = asked.text("utterance"), asked.whole("seed", 0, _MOST_SEED, 0)
    methods = _methods(asked)
    asked.done()
    comparisons = comparisons_of(studio)

    def work(job: Job) -> None:
        _compare(studio, comparisons, job, utterance=name, methods=methods, seed=seed)

    return JSONResponse(studio.jobs.submit("comparison", work).to_dict(), 202)


def _methods(asked: Asked) -> list[str]:
    given = asked.maybe("methods")
    rule = f"`methods` must be {FEWEST} to {MOST} different names"
    if not isinstance(given, list) or not FEWEST <= len(given) <= MOST:
        raise InputError(f"{rule}, got {given!r:.80}")
    if not all(isinstance(each, str) and 0 < len(each) < 200 for each in given):
        raise InputError(f"{rule}, got {given!r:.80}")
    if len(set(given)) < len(given):
        raise InputError(f"{rule}, got {given!r:.80}")
    return given


def _compare(
    studio: Studio,
    comparisons: Comparisons,
    job: Job,
    *,
    utterance: str,
    methods: list[str],
    seed: int,
) -> None:
    """Animate one utterance by every method."""
    from train.figure5.methods import RECORDING, RunMethods
    from train.figure5.subject import find_utterance

    job.step("opening the corpus; the first time, its features are computed")
    index = find_utterance(comparisons.corpus, utterance=utterance)
    bench = comparisons.bench()
    spoken = bench.task.corpus[index]
    job.sound = studio.sounds.add(utterance, spoken.audio)
    job.told["utterance"] = _told(index, spoken.record)
    job.told["frames_per_chunk"] = bench.task.tokenizer.frames_per_chunk
    job.told["has_reward"] = bench.reward is not None
    animating = RunMethods(comparisons.run_path, bench.task, seed=seed)
    animating.policies |= experiment_policies(comparisons.run_path)
    for name in animating.check(methods):
        job.step(f"animating by {name}")
        label, found = animating.animate(name, np.array([index]))
        truth = None if name == RECORDING else spoken.motion
        job.takes.append(_judged(bench, index, label, found[0], truth))


def _judged(
    bench: Bench, index: int, label: str, motion: FloatArray, truth: FloatArray | None
) -> Take:
    """Return a take with its errors against `truth`, if there is one, and its learned score."""
    curves, told = {}, dict[str, Any]()
    if truth is not None:
        curves = errors_over_time(bench.task, motion, truth)
        told["errors_mm"] = {
            name: _rounded(float(values.mean())) for name, values in curves.items()
        }
    if bench.reward is not None and bench.reward.chunk_streams:
        chunks = bench.reward.score_motion_chunks(np.array([index]), [motion])[0].sum(axis=-1)
        curves["score"] = len(chunks) * chunks
        told["score"] = _rounded(float(chunks.sum()))
    return Take(label, motion, told, curves)


def errors_over_time(
    task: AnimationTask, motion: FloatArray, truth: FloatArray
) -> dict[str, FloatArray]:
    """Return `lve` and `eve` in mm of every frame of motion (T, 52), (T,) each; nan if unmeasured.

    Their means over frames are the utterance's errors.
    """
    from esarm_env.metrics.variant import Variant
    from esarm_env.metrics.vertex_error import vertex_errors
    from esarm_env.task.episode_metrics import EVE, LVE

    variants = {LVE: Variant("lips"), EVE: Variant("upper")}
    found = vertex_errors(
        motion[: len(truth), None],  # each frame as an utterance of its own
        truth[:, None],
        head=task.head,
        variants=variants.values(),
        captured=task.corpus.captured,
    )
    return {name: found[variant].astype(np.float32) for name, variant in variants.items()}


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _told(index: int, record: Record) -> dict[str, Any]:
    return {
        "index": index,
        "id": record.id,
        "speaker": record.speaker,
        "emotion": record.emotion,
        "intensity": record.intensity,
        "text": record.text,
    }


def _said(record: Record) -> str:
    text = f"{record.id} {record.speaker} {record.emotion} {record.text or ''}"
    return text.casefold()


def _method_names(run_path: Path) -> dict[str, Any]:
    """Return what animates utterances of a run, before torch is loaded."""
    from esarm_env.core.run_layout import run_policies

    return {
        "without_decoding": ["recording", "tokenizer", "mean face", "regressor"],
        "policies": list(run_policies(run_path)),
        "decodings": ["auto", "greedy", "expected-distance", "median", "sampled", "beam"],
    }


ROUTES = [
    Route("/api/utterances", list_utterances),
    Route("/api/comparisons", begin, methods=["POST"]),
]

"""The thread that makes animations to judge, utterance by utterance, while the first are judged.

The first pair needs two animations; every further batch is twice as long, up to a limit.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import traceback
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from reward.judging import NewAnimation, Pool, extend_pool, open_pool
from reward.judging.pool import POOL_FILE
from train.studio.jobs import THREAD
from train.studio.judging.asked import PoolAsked, read_asked_file, save_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from train.studio.judging.scores import PoolScores

ASLEEP, OPENING, MAKING, READY, FAILED = "asleep", "opening", "making", "ready", "failed"
RECORDING = "recording"
JUDGED_SPLITS = ("train", "validation")  # results are measured on the others
_FIRST, _LARGEST = 2, 16  # utterances of a batch
_END_S = 5  # how long the thread is waited for at the end
_NICENESS = 10  # the browser that plays the first pairs comes first


class Maker:
    """Makes a pool in a folder, and goes on with one that is there.

    Attributes:
        state: `asleep`, `opening`, `making`, `ready` or `failed`.
        message: Why it failed; else empty.
        asked: What is being made, or was last; None before anything is asked.
        n_done: Utterances that are made.
        n_wanted: Utterances that are asked for.
        task: The run's, None until it is open.
        idle: Set while nothing is being opened or made.
    """

    def __init__(
        self, run: Path, folder: Path, scores: PoolScores, changed: Callable[[Pool | None], None]
    ) -> None:
        """Make nothing yet.

        Args:
            run: The run folder.
            folder: Of the pool.
            scores: Get every pool before anybody else does.
            changed: Called with every new pool, and with None where the state is another.
        """
        self._run, self._folder, self._scores, self._changed = run, folder, scores, changed
        self.state, self.message = ASLEEP, ""
        self.asked: PoolAsked | None = None
        self.n_done, self.n_wanted = 0, 0
        self.task: AnimationTask | None = None
        self.idle = threading.Event()
        self.idle.set()
        self._queue: queue.Queue[PoolAsked | None] = queue.Queue()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Open the run's task in the background, and go on with what was being made."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self.state, self.message = OPENING, ""
                self.idle.clear()
                self._thread = threading.Thread(
                    target=self._work, name=f"{THREAD}-judging", daemon=True
                )
                self._thread.start()

    def make(self, asked: PoolAsked) -> None:
        """Make further animations, after those that are being made."""
        self.wake()
        with self._lock:
            self._queue.put(asked)
            self.idle.clear()
            if self.state != OPENING:
                self.state = MAKING

    def close(self) -> None:
        """End after the animations at work, if they take no longer than a few seconds."""
        self._end.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(_END_S)

    @property
    def pending(self) -> bool:
        """Whether more is to come."""
        return self.state in (OPENING, MAKING)

    def _work(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # systems where threads have none
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            pool, begun = self._opened()
            while True:
                if begun is not None:
                    pool = self._make(pool, *begun)
                with self._lock:
                    if self._queue.empty():
                        self.state = READY
                        self.idle.set()
                self._changed(None)
                asked = self._queue.get()
                if asked is None:
                    return
                begun = (asked, 0)
        except (InputError, MissingExtraError) as error:
            self._fail(one_line(error))
        except Exception as error:  # a fault of ours: the page says so, and the others go on
            traceback.print_exc()
            self._fail(f"this went wrong inside: {type(error).__name__}: {one_line(error)}")

    def _fail(self, message: str) -> None:
        self.state, self.message = FAILED, message
        self.idle.set()
        self._changed(None)

    def _opened(self) -> tuple[Pool, tuple[PoolAsked, int] | None]:
        """Return the folder's pool, and what of it was not finished."""
        from esarm_env.task.opening import open_task

        folder = self._folder
        begun = read_asked_file(folder)
        there = (folder / POOL_FILE).is_file()
        pool = open_pool(folder) if there else Pool(folder, ())
        task = open_task(self._run)
        check_pool(pool, task)
        self._scores.open(task)
        if begun is not None:
            self.asked, self.n_done = begun
        self._publish(pool)
        self.task = task
        return pool, begun

    def _publish(self, pool: Pool) -> Pool:
        self._scores.add(pool)
        self._changed(pool)
        return pool

    def _make(self, pool: Pool, asked: PoolAsked, done: int) -> Pool:
        """Return the pool with all that is asked for; `done` utterances of it are there."""
        assert self.task is not None
        utterances = judged_utterances(self.task, asked)
        self.asked, self.n_done, self.n_wanted = asked, done, len(utterances)
        if done >= len(utterances):
            return pool
        self.state = MAKING
        writer = Writer(self._run, self.task, asked)
        size = _LARGEST if pool.animations else _FIRST
        while self.n_done < len(utterances):
            batch = utterances[self.n_done : self.n_done + size]
            made: list[NewAnimation] = []
            for some in writer.animations(batch):
                if self._end.is_set():
                    return pool
                made += some
                if not self.n_done:  # the first pair is waited for
                    pool = self._publish(extend_pool(pool, made))
                    save_asked(asked, 0, self._folder)
            pool = self._publish(extend_pool(pool, made))
            self.n_done += len(batch)
            save_asked(asked, self.n_done, self._folder)
            size = min(2 * size, _LARGEST)
        if not pool.animations:
            raise InputError(
                "animations of an utterance must differ to be compared, got equal ones alone; add "
                "policies, decodings, samples or recordings"
            )
        return pool


class Writer:
    """Writes animations in every way that is asked for; each policy is loaded once."""

    def __init__(self, run: Path, task: AnimationTask, asked: PoolAsked) -> None:
        """Write for utterances of `task` with policies of `run`."""
        self._run, self._task, self._asked = run, task, asked
        self._policies: dict[str, MotionTransformer] = {}

    def animations(self, utterances: IntArray) -> Iterator[list[NewAnimation]]:
        """Yield the recordings of utterances (N,), then N animations at a time, way by way.

        Raises:
            InputError: If a policy is missing, or cannot be decoded as asked.
        """
        if self._asked.recordings:
            motions = [self._task.recorded_motion(index) for index in utterances.tolist()]
            yield self._named(RECORDING, utterances, motions)
        ways = self._asked.ways
        for row in np.random.default_rng(self._asked.seed).permutation(len(ways)).tolist():
            policy, decoding, number = ways[row]
            motions = self._written(utterances, policy, decoding, number)
            yield self._named(f"{policy}, {decoding} {number + 1}", utterances, motions)

    def _written(
        self, utterances: IntArray, policy: str, decoding: str, number: int
    ) -> list[FloatArray]:
        from agents.rollout.animation import animate_utterances
        from agents.rollout.named_decoding import NamedDecoding
        from esarm_env.core.seeds import FirstSample
        from train.animate import find_policy

        if policy not in self._policies:
            self._policies[policy] = find_policy(self._run, policy)[0]
        model = self._policies[policy]
        written = animate_utterances(
            model,
            self._task,
            utterances,
            decoding=NamedDecoding(decoding).of(model),
            seed=self._asked.seed,
            sample=FirstSample.JUDGED + number,
        )
        motions = self._task.decode_chunks(written)
        frames = self._task.n_frames[utterances].tolist()
        return [motion[:n] for motion, n in zip(motions, frames, strict=True)]

    def _named(
        self, source: str, utterances: IntArray, motions: list[FloatArray]
    ) -> list[NewAnimation]:
        names = self._task.ids_of(utterances)
        return [NewAnimation(n, source, motion) for n, motion in zip(names, motions, strict=True)]


def judged_utterances(task: AnimationTask, asked: PoolAsked) -> IntArray:
    """Return the utterances that are judged, (N,), in the order in which they are animated."""
    from train.stages.demonstrate import evenly

    every = np.sort(np.concatenate([task.corpus.split(split) for split in JUDGED_SPLITS]))
    chosen = evenly(every, asked.utterances)
    return np.random.default_rng(asked.seed).permutation(chosen)


def check_pool(pool: Pool, task: AnimationTask) -> None:
    """Check that a pool is of the run's corpus.

    Raises:
        InputError: If it is of another.
    """
    unknown = [name for name in pool.rows_of if name not in task.index_of]
    if unknown:
        raise InputError(
            f"{pool.folder}: must hold animations of this run's corpus, got utterance "
            f"{unknown[0]!r}, which it has not; choose another --preferences"
        )

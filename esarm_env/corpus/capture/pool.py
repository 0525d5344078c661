"""Process pool over a job queue whose workers are replaced when they crash."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, Any

import esarm_env
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.corpus.capture.landmarker import EXTRA, PURPOSE

_SAID = 300  # characters of a dead worker's last words that are passed on

Job = dict[str, str]
Answer = dict[str, Any]


def run_jobs(
    command: Sequence[str], jobs: Sequence[Job], *, n_workers: int
) -> Generator[tuple[Job, Answer], None, None]:
    """Run `jobs` in worker processes; yield each with its answer, in the order they finish.

    A worker that dies costs the job it was doing, whose answer is then `{"fault": ...}`. Closing
    the iterator ends all workers.

    Args:
        command: Of a worker; what it says and hears is in `worker.py`.
        jobs: With a key `video`.
        n_workers: Processes.

    Raises:
        InputError: If a worker cannot even start.
        MissingExtraError: If a worker lacks a package.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    done: queue.SimpleQueue[tuple[Job, Answer] | Exception] = queue.SimpleQueue()
    workers = [_Worker(command) for _ in range(min(n_workers, len(jobs)))]
    threads = [
        threading.Thread(target=_work, args=(worker, waiting, done), daemon=True)
        for worker in workers
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            item = done.get()
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        for worker in workers:
            worker.close()
        for thread in threads:
            thread.join()


def _work(
    worker: _Worker,
    waiting: queue.SimpleQueue[Job],
    done: queue.SimpleQueue[tuple[Job, Answer] | Exception],
) -> None:
    """Feed one worker until no job is left."""
    try:
        while True:
            job = waiting.get_nowait()
            done.put((job, worker.ask(job)))
    except queue.Empty:
        return
    except Exception as error:  # raised again by the thread that waits for answers
        done.put(error)
    finally:
        worker.release()


class _Worker:
    """Worker process, started lazily and restarted after a crash."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[str] | None = None
        self._words: IO[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()  # `close` is called from another thread

    def ask(self, job: Job) -> Answer:
        """Send `job` and return its answer, a fault if the process dies."""
        process = self._process or self._start()
        answer = _exchange(process, job)
        if answer is None:
            return {"fault": f"{job['video']}: ended its worker process ({self._bury(process)})"}
        return answer

    def close(self) -> None:
        """Kill the process for good; a pending `ask` returns or raises."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def release(self) -> None:
        """Release the process's files."""
        self.close()
        if self._process is not None:
            self._bury(self._process)

    def _start(self) -> subprocess.Popen[str]:
        """Start a process and wait until it is ready."""
        with self._lock:
            if self._closed:
                raise RuntimeError("a closed worker must not be asked")
            self._words = tempfile.TemporaryFile()
            self._process = process = subprocess.Popen(
                self._command,
                cwd=Path(esarm_env.__file__).parents[1],  # found there where it is not installed
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                encoding="utf-8",
            )
        hello = _listen(process)
        if hello is None:
            raise InputError(f"a capture worker must start, got {self._bury(process)}")
        if "missing" in hello:
            raise MissingExtraError(hello["missing"], extra=EXTRA, purpose=PURPOSE)
        if "fault" in hello:
            raise InputError(hello["fault"])
        return process

    def _bury(self, process: subprocess.Popen[str]) -> str:
        """Close a dead process's files; return how it ended."""
        status = process.wait()
        self._process = None
        assert self._words is not None, "a process that was started has a file for its words"
        with self._words as words:
            words.seek(0)
            said = words.read().decode(errors="replace")[-_SAID:].split()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None, "input and output must be pipes"
            with contextlib.suppress(BrokenPipeError):  # the process died before it read the job
                pipe.close()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"{how}, last words: {' '.join(said) or 'none'}"


def _exchange(process: subprocess.Popen[str], job: Job) -> Answer | None:
    """Return the answer to a job, None if the process is dead."""
    assert process.stdin is not None, "standard input must be a pipe"
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    return _listen(process)


def _listen(process: subprocess.Popen[str]) -> Answer | None:
    """Return the next line of a process, None if it ended before a whole one."""
    assert process.stdout is not None, "standard output must be a pipe"
    line = process.stdout.readline()
    return json.loads(line) if line.endswith("\n") else None

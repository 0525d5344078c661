"""Pool of Ray actors: one part at a time each, and those that die are replaced.

Results are in the order of the parts, whoever did them. An error, Ctrl-C among them, ends all
workers, and Ray with them if no other pool needs it.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from esarm_env.core.workers import session
from esarm_env.core.workers.pool import BY_VALUE, Label, Pool, WorkerError, check_workers
from esarm_env.core.workers.worker import References, Worker

Part = TypeVar("Part")
Result = TypeVar("Result")

MOST_DEATHS = 3  # of workers at one part: it is the part that kills them


class RayPool(Pool):
    """Pool of Ray actors of one torch thread each; see `Pool`.

    Attributes:
        n_workers: How many.
        n_replaced: Workers that died and were replaced so far.
    """

    def __init__(self, n_workers: int) -> None:
        """Know how many workers to start; the first `map` starts them.

        Raises:
            InputError: If there is not at least one.
            MissingExtraError: If Ray is not installed.
        """
        check_workers(n_workers)
        session.load_ray()
        self.n_workers, self.n_replaced = n_workers, 0
        self._values: dict[str, tuple[int, Any]] = {}
        self._references: dict[str, tuple[int, Any]] = {}
        self._numbers = 0
        self._ray: Any = None
        self._workers: list[Any] = []

    def share(self, name: str, value: Any) -> None:
        """Let `value` be known to all workers as `name`."""
        self._numbers += 1
        self._values[name] = self._numbers, value

    def map(
        self,
        function: Callable[..., Result],
        parts: Sequence[Part],
        *,
        using: Sequence[str] = (),
        label: Label | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> list[Result]:
        """Return `function(part, **shared)` of each of `parts`, in their order."""
        try:
            self._open()
            given = {name: self._reference(name) for name in using}
            jobs = [self._pickled((function, part)) for part in parts]
            named = label or (lambda number: f"part {number + 1} of {len(jobs)}")
            return self._answers(jobs, given, named, on_done or (lambda: None))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all workers, and Ray if nobody else needs it."""
        if self._ray is None:
            return
        workers, self._workers, self._references = self._workers, [], {}
        ray, self._ray = self._ray, None
        for worker in workers:
            with contextlib.suppress(Exception):  # it is gone already
                ray.kill(worker)
        session.release()

    def processes(self) -> list[int]:
        """Return the process numbers of all workers."""
        self._open()
        found: list[int] = self._ray.get([each.process.remote() for each in self._workers])
        return found

    def _open(self) -> None:
        if self._ray is None:
            self._ray, self._share_of_cores = session.acquire(self.n_workers)
            self._workers = [self._start() for _ in range(self.n_workers)]

    def _start(self) -> Any:
        actor = self._ray.remote(Worker)
        return actor.options(num_cpus=self._share_of_cores, max_restarts=0).remote()

    def _reference(self, name: str) -> tuple[int, Any]:
        """Return number and reference of what is shared as `name`, which is sent if need be."""
        number, value = self._values[name]
        if self._references.get(name, (0,))[0] != number:
            self._references.pop(name, None)  # workers let go of the one before, too
            with _by_value(self._ray):
                try:
                    self._references[name] = number, self._ray.put(value)
                except Exception as error:
                    raise _unsendable(f"what is shared as {name!r}", error) from error
        return self._references[name]

    def _pickled(self, job: tuple[Any, Any]) -> bytes:
        with _by_value(self._ray):
            try:
                sent: bytes = self._ray.cloudpickle.dumps(job)
            except Exception as error:
                raise _unsendable("a part", error) from error
        return sent

    def _answers(
        self, jobs: list[bytes], given: References, label: Label, on_done: Callable[[], None]
    ) -> list[Any]:
        """Return the results of all jobs, each done once more where its worker has died."""
        waiting, idle = deque(range(len(jobs))), list(reversed(range(self.n_workers)))
        results: list[Any] = [None] * len(jobs)
        deaths: Counter[int] = Counter()
        running: dict[Any, tuple[int, int]] = {}
        while waiting or running:
            while waiting and idle:
                worker, number = idle.pop(), waiting.popleft()
                running[self._workers[worker].run.remote(jobs[number], given)] = worker, number
            (done,), _ = self._ray.wait(list(running), num_returns=1)
            worker, number = running.pop(done)
            try:
                answer = self._ray.get(done)
            except self._deadly() as error:
                deaths[number] += 1
                self._workers[worker] = self._start()
                self.n_replaced += 1
                if deaths[number] == MOST_DEATHS:
                    raise WorkerError(
                        f"{label(number)} ended its worker process {MOST_DEATHS} times; the last "
                        f"time Ray said: {' '.join(str(error).split())[:300]}"
                    ) from None
                waiting.appendleft(number)
            else:
                results[number] = answer.unwrap()
                on_done()
            idle.append(worker)
        return results

    def _deadly(self) -> tuple[type[Exception], ...]:
        errors = self._ray.exceptions
        names = ("RayActorError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError")
        return tuple(getattr(errors, name) for name in names if hasattr(errors, name))


@contextlib.contextmanager
def _by_value(ray: Any) -> Any:
    """Let what `send_by_value` names travel with the parts."""
    modules = [sys.modules[name] for name in sorted(BY_VALUE & sys.modules.keys())]
    for module in modules:
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            ray.cloudpickle.unregister_pickle_by_value(module)


def _unsendable(what: str, error: Exception) -> WorkerError:
    return WorkerError(
        f"{what} cannot be sent to workers ({type(error).__name__}: "
        f"{' '.join(str(error).split())[:300]}); work without them (`workers` 0)"
    )

"""Work that takes seconds: one job after the other in a thread; each can be cancelled."""

from __future__ import annotations

import queue
import secrets
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError, MissingExtraError, one_line

if TYPE_CHECKING:
    from train.studio.sounds import Sound
    from train.studio.takes import Take

WAITING, WORKING, DONE, FAILED, CANCELLED = "waiting", "working", "done", "failed", "cancelled"
THREAD = "esarm-studio"  # with which the names of the studio's threads begin
_KEPT = 48
_MOST_WAITING = 16
_UNASKED_S = 2.0  # after which the first job is prepared for though nobody has opened the page


class CancelledError(Exception):
    """Somebody wants the job no longer."""


@dataclass(eq=False)
class Job:
    """Work that was asked for, and what came of it.

    Attributes:
        id: By which the page asks for it.
        kind: `animation`, `comparison`, or what other pages call theirs.
        work: Does it: appends to `takes` and tells of it in `told`.
        sound: What is animated; a job that reads an utterance sets it.
        state: `waiting`, `working`, `done`, `failed` or `cancelled`.
        message: What is done at the moment, or why it failed.
        takes: What is ready, in order.
        told: Further facts for the page.
        ended: Set once nothing more will come of it.
    """

    id: str
    kind: str
    work: Callable[[Job], None]
    sound: Sound | None = None
    state: str = WAITING
    message: str = ""
    takes: list[Take] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    _unwanted: threading.Event = field(default_factory=threading.Event)

    def step(self, message: str) -> None:
        """Say what is done next.

        Raises:
            CancelledError: If the job is not wanted any more.
        """
        if self._unwanted.is_set():
            raise CancelledError
        self.message = message

    def cancel(self) -> None:
        """End a job that waits, and one at work before its next step."""
        self._unwanted.set()
        if self.state in (WAITING, WORKING):
            self.state, self.message = CANCELLED, "cancelled"
            self.ended.set()

    def to_dict(self) -> dict[str, Any]:
        """Return what the page is told."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "message": self.message,
            "sound": None if self.sound is None else self.sound.to_dict(),
            "takes": [take.to_dict() for take in list(self.takes)],
            **self.told,
        }

    def run(self) -> None:
        """Do the work; whatever goes wrong becomes its message."""
        if self._unwanted.is_set():
            return
        self.state = WORKING
        try:
            self.work(self)
            self._end(DONE, "")
        except CancelledError:
            self._end(CANCELLED, "cancelled")
        except (InputError, MissingExtraError) as error:
            self._end(FAILED, one_line(error))
        except Exception as error:  # a fault of ours: the page says so, and the others go on
            traceback.print_exc()
            self._end(FAILED, f"this went wrong inside: {type(error).__name__}: {one_line(error)}")

    def _end(self, state: str, message: str) -> None:
        if not self._unwanted.is_set():
            self.state, self.message = state, message
        self.ended.set()


class Jobs:
    """A queue of jobs and the thread that does them, in the order in which they were asked for.

    Attributes:
        expected: Set once the page is there: what takes seconds must not hold it up before.
    """

    def __init__(self) -> None:
        self.expected = threading.Event()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def start(self, first: Callable[[], None] | None = None) -> None:
        """Start the thread; it calls `first` before any job, for what takes seconds once."""

        def work() -> None:
            if first is not None:
                self.expected.wait(_UNASKED_S)
                if not self._stopped:
                    first()
            while (job := self._queue.get()) is not None:
                job.run()

        # A daemon: Ctrl-C ends the program at once, whatever is being animated.
        self._thread = threading.Thread(target=work, name=f"{THREAD}-jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel what waits, and let the thread end after what it is doing."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel()
        self._stopped = True
        self._queue.put(None)
        self.expected.set()

    def submit(self, kind: str, work: Callable[[Job], None], *, sound: Sound | None = None) -> Job:
        """Ask for work.

        Raises:
            InputError: If too much is waiting already.
        """
        job = Job(secrets.token_hex(8), kind, work, sound)
        with self._lock:
            waiting = sum(each.state in (WAITING, WORKING) for each in self._jobs.values())
            if waiting >= _MOST_WAITING:
                raise InputError(
                    f"at most {_MOST_WAITING} jobs may wait, got one more; cancel some"
                )
            self._jobs[job.id] = job
            for old in [
                each for each in self._jobs.values() if each.state not in (WAITING, WORKING)
            ]:
                if len(self._jobs) <= _KEPT:
                    break
                del self._jobs[old.id]
        self._queue.put(job)
        self.expected.set()
        return job

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            KeyError: If there is none of that id, or it was forgotten.
        """
        with self._lock:
            return self._jobs[job_id]

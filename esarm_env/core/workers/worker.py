"""What runs in a worker process: parts of a map, with what was shared kept between them.

Everything a part raises goes back as an answer, so that the caller sees the error itself and not
Ray's page about it. Warnings go back, too.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esarm_env.core.workers.pool import WorkerError

# Arrays that were shared are read-only, and torch says so of each; nothing here writes to them.
_READ_ONLY = ".*array is not writable.*"

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# Number and reference of what is shared, by name; another number is another value.
References = Mapping[str, tuple[int, Any]]


class PartTraceback(Exception):
    """Traceback of a part in its worker, as text; the cause of the error that is raised here."""

    def __str__(self) -> str:
        return f"in a worker process:\n\n{self.args[0]}"


@dataclass(frozen=True)
class Answer:
    """What came of a part.

    Attributes:
        result: What the function returned.
        error: What it raised instead, pickled; None if it did not.
        trace: Its traceback.
        warned: Kind and text of each warning.
    """

    result: Any = None
    error: bytes | None = None
    trace: str = ""
    warned: list[tuple[type[Warning], str]] = field(default_factory=list)

    def unwrap(self) -> Any:
        """Return the result, or raise the error; say what was warned of."""
        for kind, text in self.warned:
            warnings.warn(text, kind, stacklevel=4)
        if self.error is not None:
            raise pickle.loads(self.error) from PartTraceback(self.trace)
        return self.result


class Worker:
    """One worker, which computes with one thread."""

    def __init__(self) -> None:
        """Keep to one thread: results must not depend on how many processors a node has."""
        for name in _THREADS:  # read by torch when a part imports it
            os.environ[name] = "1"
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        self._kept: dict[str, tuple[int, Any]] = {}

    def run(self, job: bytes, shared: References) -> Answer:
        """Return the answer of a part.

        Args:
            job: The function and the part, pickled.
            shared: What the function takes beside the part.
        """
        warned: list[tuple[type[Warning], str]] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("default")
                warnings.filterwarnings("ignore", message=_READ_ONLY)
                try:
                    function, part = pickle.loads(job)
                    result = function(part, **self._given(shared))
                finally:
                    warned = [(each.category, str(each.message)) for each in caught]
        except Exception as error:
            return Answer(error=_pickled(error), trace=traceback.format_exc(), warned=warned)
        return Answer(result, warned=warned)

    def process(self) -> int:
        """Return the number of this process."""
        return os.getpid()

    def _given(self, shared: References) -> dict[str, Any]:
        for name, (number, reference) in shared.items():
            if name not in self._kept or self._kept[name][0] != number:
                self._kept.pop(name, None)  # before the next is read: a network need not be twice
                self._kept[name] = number, self._fetch(reference)
        return {name: self._kept[name][1] for name in shared}

    def _fetch(self, reference: Any) -> Any:
        import ray

        return ray.get(reference)


def _pickled(error: Exception) -> bytes:
    """Return an error as bytes that can be read again; one that cannot is told in words."""
    try:
        sent = pickle.dumps(error)
        pickle.loads(sent)
    except Exception:
        return pickle.dumps(WorkerError(f"{type(error).__name__}: {error}"))
    return sent

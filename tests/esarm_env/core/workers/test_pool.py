"""A pool gives the same results whoever works, and survives what happens to workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.workers import (
    SerialPool,
    WorkerError,
    guardian,
    open_pool,
    ray_pool,
    session,
)
from esarm_env.core.workers.pool import BY_VALUE, send_by_value
from esarm_env.core.workers.versions import check_versions, make_probe

ADDRESS = "RAY_ADDRESS"


@pytest.fixture(autouse=True)
def sent_by_value() -> Any:
    """Workers cannot import a test module."""
    send_by_value(__name__)
    yield
    BY_VALUE.discard(__name__)


class Odd(Exception):
    """Cannot be read again from its pickle: it wants two arguments, and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def times(part: int, *, table: np.ndarray) -> tuple[int, float, bool]:
    return part, float(table[part] * 2), bool(table.flags.writeable)


def failing(part: int) -> int:
    if part == 1:
        raise InputError("`part` must not be 1, got 1")
    return part


def odd(part: int) -> int:
    raise Odd("first", "second")


def warning(part: int) -> int:
    warnings.warn(f"part {part} is strange", UserWarning, stacklevel=1)
    return part


def dying_once(part: tuple[int, str]) -> int:
    number, mark = part
    if number == 2 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def deadly(part: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return part


def threads(part: int) -> int:
    import torch

    return torch.get_num_threads()


def test_results_stand_in_the_order_of_the_parts_for_any_number_of_workers(
    three_workers: Any,
) -> None:
    """A faster worker must not change what a later line of the program sees."""
    table = np.arange(9.0) ** 2
    serial = SerialPool()
    serial.share("table", table)
    expected = serial.map(times, range(9), using=["table"])
    assert all(writeable for *_, writeable in expected)
    three_workers.share("table", table)
    for n_workers in (1, 2, 3):
        three_workers.n_workers = n_workers
        done: list[int] = []
        found = three_workers.map(
            times, range(9), using=["table"], on_done=lambda done=done: done.append(1)
        )
        assert [row[:2] for row in found] == [row[:2] for row in expected]
        assert not any(writeable for *_, writeable in found), "shared arrays are read-only"
        assert len(done) == 9
    three_workers.share("table", -table)
    assert three_workers.map(times, [3], using=["table"])[0][1] == -18, "of the value before"
    assert three_workers.map(threads, [0]) == [1]


def test_warnings_of_workers_are_said_here(three_workers: Any) -> None:
    """A warning in a file of Ray's logs is read by nobody."""
    with pytest.warns(UserWarning, match="part 4 is strange"):
        assert three_workers.map(warning, [4]) == [4]


def test_a_worker_that_dies_is_replaced_and_its_part_done_again(
    three_workers: Any, tmp_path: Path
) -> None:
    """One killed process must not cost the others' work."""
    before = three_workers.n_replaced
    parts = [(number, str(tmp_path / "mark")) for number in range(5)]
    assert three_workers.map(dying_once, parts) == [0, 1, 2, 3, 4]
    assert three_workers.n_replaced == before + 1


def test_errors_come_back_as_what_they_are(
    three_workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line tells bad input from faults by the class, and prints one line."""
    closed = []
    monkeypatch.setattr(three_workers, "close", lambda: closed.append(1))
    with pytest.raises(InputError, match=re.escape("`part` must not be 1, got 1")) as caught:
        three_workers.map(failing, [0, 1])
    assert "in a worker process" in str(caught.value.__cause__)
    with pytest.raises(WorkerError, match="Odd: first"):
        three_workers.map(odd, [0])
    with pytest.raises(WorkerError, match="a part cannot be sent to workers"):
        three_workers.map(failing, [sys._getframe()])
    monkeypatch.setattr(ray_pool, "MOST_DEATHS", 1)  # a start of a worker takes seconds
    rule = r"the third of 3 ended its worker process 1 times"
    with pytest.raises(WorkerError, match=rule):
        three_workers.map(deadly, [0], label=lambda number: "the third of 3")
    assert len(closed) == 4, "an error must end the workers"


def test_a_module_that_is_gone_costs_nobody_else(
    three_workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook may take a module of its own out of `sys.modules` again."""
    monkeypatch.setitem(sys.modules, "of_a_file", ModuleType("of_a_file"))
    send_by_value("of_a_file")
    monkeypatch.delitem(sys.modules, "of_a_file")
    try:
        assert three_workers.map(failing, [0, 2]) == [0, 2]
    finally:
        BY_VALUE.discard("of_a_file")


def test_numbers_of_workers_are_checked() -> None:
    """-1 has been "all processors" elsewhere."""
    assert isinstance(open_pool(0), SerialPool)
    for bad in (-1, 1.5, True):
        with pytest.raises(InputError, match="`workers` must be a whole number of at least 0"):
            open_pool(bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`module` must be one that is imported, got 'none'"):
        send_by_value("none")


def test_a_missing_ray_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for workers learns what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'esarm[ray]'")):
        open_pool(2)


def test_more_workers_than_processors_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are allowed, since a cluster may grow, but no faster."""
    monkeypatch.setattr(session._Session, "warned_of", set())
    with pytest.warns(UserWarning, match="`workers` is 5, more than the 2 processors"):
        session._warn_of_many(5, 2)
    session._warn_of_many(5, 2)
    session._warn_of_many(2, 2)


def test_a_cluster_of_other_versions_is_refused_with_both() -> None:
    """Results of another torch are others, and nobody would see why."""
    ours = make_probe()()
    assert set(ours) == {"Python", "ray", "torch", "numpy", "esarm"}
    check_versions(ours, {"10.0.0.1": dict(ours)})
    theirs = {**ours, "torch": "1.0", "esarm": "none"}
    rule = f"torch 1.0 instead of {ours['torch']}, esarm none instead of {ours['esarm']} on 10.0.0."
    with pytest.raises(InputError, match=re.escape(rule)):
        check_versions(ours, {"10.0.0.1": dict(ours), "10.0.0.2": theirs})


class FakeRay:
    """Stands for a Ray that cannot connect."""

    _private = None

    def __init__(self, error: Exception) -> None:
        self.error = error

    def init(self, **_: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("address", "error", "rule"),
    [
        ("ray://head:10001", None, "`RAY_ADDRESS` must be `auto` or HOST:PORT"),
        (
            "head:6379",
            RuntimeError("Version mismatch: The cluster was started with:\n Ray: 2.1\n Ray: 2.2"),
            "must be a cluster of this process's versions, got 'head:6379': Version mismatch: The "
            "cluster was started with: Ray: 2.1 Ray: 2.2",
        ),
        ("auto", ConnectionError("no cluster"), "must be a cluster that can be reached"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str, error: Exception, rule: str
) -> None:
    """Ray's own pages about it do not say which setting it was."""
    monkeypatch.setenv(ADDRESS, address)
    with pytest.raises(InputError, match=re.escape(rule)):
        session._start(FakeRay(error), 2, {})


def test_the_last_pool_ends_what_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that stay behind a notebook's cell hold memory for ever."""
    ended = []
    monkeypatch.setattr(session, "_stop", ended.append)
    monkeypatch.setattr(session._Session, "users", 2)
    session.release()
    assert not ended
    session.release()
    assert len(ended) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
def test_the_guardian_ends_what_carries_its_mark_and_nothing_else() -> None:
    """Processes that Ray has just begun outlive a killed driver by a minute."""
    sleeper = [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(sleeper, **pipes, env={**os.environ, guardian.MARK: "a"}) as ours:
        with subprocess.Popen(sleeper, **pipes, env={**os.environ, guardian.MARK: "b"}) as other:
            for process in (ours, other):
                assert process.stdout is not None and process.stdout.readline()
            command = [sys.executable, "-I", guardian.__file__, "a"]
            with subprocess.Popen(command, stdin=subprocess.PIPE) as guard:
                assert guard.poll() is None and ours.poll() is None, "the driver is still there"
                guard.communicate()
            assert ours.wait() == -signal.SIGKILL
            assert other.poll() is None
            other.communicate()

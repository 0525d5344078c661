"""Who prints what, and with which exit code, when a training by several processes ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.distributed.processes import LostProcessError
from train.distributed import launch
from train.distributed.lockstep import advancing, follow, leading


class Single:
    """Stands for `Processes`, whose others never say more than what is given."""

    def __init__(self, number: int = 0, *, orders: tuple[Any, ...] = (), told: str | None = None):
        self.number, self.count, self._told = number, 2, told
        self.orders, self.sent, self.reports = list(orders), [], []

    def from_main(self, value: Any) -> Any:
        if self.number == 0:
            self.sent.append(value)
            return value
        order = self.orders.pop(0)
        if isinstance(order, Exception):
            raise order
        return order

    def gather(self, value: Any) -> list[Any]:
        return [value, value]

    def report(self, text: str) -> None:
        self.reports.append(text)

    def reported(self) -> str | None:
        return self._told

    def leave(self) -> None:
        pass


class Counter:
    """A trainer that counts."""

    n_total = 3

    def __init__(self) -> None:
        self.n_done = 0

    def advance(self) -> dict[str, float]:
        self.n_done += 1
        return {"n": self.n_done}

    def state_dict(self) -> dict[str, Any]:
        return {"n_done": self.n_done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_done = state["n_done"]


made: list[Counter] = []


def make_counter() -> Counter:
    made.append(Counter())
    return made[-1]


@pytest.fixture
def lead(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Single]:
    """Return a function: let a command be led by process 0."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(launch, "_end_with_parent", lambda: None)

    def run(command: Callable[[], None], told: str | None = None) -> Single:
        processes = Single(told=told)
        monkeypatch.setattr(launch, "join_processes", lambda cpu: processes)
        try:
            launch.run_launched(command)
        finally:
            signal.signal(signal.SIGTERM, before)
        return processes

    return run


def test_the_others_end_with_the_command(lead: Callable[..., Single]) -> None:
    """A follower that is not told waits for ever, and `torchrun` for it."""
    assert lead(lambda: None).sent == [("end", 0, 0)]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("process 1: no such file", "esarm: process 1: no such file\n"),
        (None, "another of its processes was, without a word"),
    ],
)
def test_the_main_process_says_in_one_line_why_another_ended(
    told: str | None, said: str, lead: Callable[..., Single], capsys: pytest.CaptureFixture[str]
) -> None:
    """Gloo's own words are of sockets, and those of the culprit would be lost."""

    def command() -> None:
        raise LostProcessError("connection closed by peer")

    with pytest.raises(SystemExit) as ended:
        lead(command, told)
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_a_missing_extra_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sixteen processes would print it sixteen times."""
    monkeypatch.setattr(launch, "_end_with_parent", lambda: None)

    def fail(cpu: bool) -> None:
        raise MissingExtraError("accelerate", extra="distributed", purpose="torchrun")

    monkeypatch.setattr(launch, "join_processes", fail)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit) as ended:
        launch.run_launched(lambda: None)
    assert ended.value.code == 2
    assert "pip install 'esarm[distributed]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "reports"),
    [
        (InputError("`x` must be y"), 2, ["process 1: `x` must be y"]),
        (ZeroDivisionError("by 0"), 2, ["process 1: ZeroDivisionError: by 0"]),
        (LostProcessError("closed"), 1, []),
    ],
)
def test_a_follower_leaves_its_error_to_the_main_process(
    error: Exception,
    code: int,
    reports: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What it prints itself would stand beside what every other process prints."""
    codes: list[int] = []
    monkeypatch.setattr(launch.os, "_exit", codes.append)
    processes: Any = Single(1, orders=(error,))
    launch._follow(processes)
    assert (codes, processes.reports) == ([code], reports)
    assert capfd.readouterr().err == ""


def test_followers_go_on_from_the_state_of_the_main_process() -> None:
    """A trainer that was resumed must be as far in all processes."""
    leader, trainer = Single(), Counter()
    trainer.advance()
    with leading(leader), advancing(trainer, make_counter) as advance:  # type: ignore[arg-type]
        while trainer.n_done < trainer.n_total:
            assert advance() == {"n": trainer.n_done}
    build, state, _ = leader.sent[0]
    assert (build, state) == (make_counter, {"n_done": 1})
    assert leader.sent[1:] == [True, True, False]
    orders = (*leader.sent, ("end", 0, 0))
    assert follow(Single(1, orders=orders)) == 0  # type: ignore[arg-type]
    assert made[-1].n_done == 3


def test_what_others_cannot_build_is_trained_alone() -> None:
    """Stages that are not shared out leave the others waiting, and send nothing."""
    leader, trainer = Single(), Counter()
    with leading(leader), advancing(trainer, None) as advance:  # type: ignore[arg-type]
        advance()
    assert leader.sent == []
    assert trainer.n_done == 1

"""Work that takes seconds: its order, its end, its faults."""

from __future__ import annotations

import re
import threading

import pytest

from esarm_env.core.errors import InputError
from train.studio.jobs import Job, Jobs


@pytest.fixture
def jobs() -> Jobs:
    made = Jobs()
    yield made
    made.stop()


def test_jobs_are_done_one_after_the_other(jobs: Jobs) -> None:
    """Two policies that animate at once take twice as long, each."""
    done: list[int] = []
    made = [jobs.submit("test", lambda _, k=k: done.append(k)) for k in range(3)]
    jobs.start()
    for job in made:
        assert job.ended.wait(10)
    assert done == [0, 1, 2]
    assert [job.state for job in made] == ["done"] * 3


def test_a_fault_is_told_and_the_next_job_is_done(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that died would let every later job wait for ever."""

    def fail(_: Job) -> None:
        raise ZeroDivisionError("of ours")

    def refuse(_: Job) -> None:
        raise InputError("`speaker` must be known")

    first, second, third = (jobs.submit("test", work) for work in (fail, refuse, lambda _: None))
    jobs.start()
    assert third.ended.wait(10)
    assert (first.state, second.state, third.state) == ("failed", "failed", "done")
    assert first.message == "this went wrong inside: ZeroDivisionError: of ours"
    assert second.message == "`speaker` must be known"
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_job_is_cancelled_before_its_next_step(jobs: Jobs) -> None:
    """Ten samples of ten minutes must not be waited for."""
    begun, go_on, steps = threading.Event(), threading.Event(), []

    def work(job: Job) -> None:
        for number in range(3):
            job.step(f"step {number}")
            steps.append(number)
            begun.set()
            go_on.wait(10)

    job = jobs.submit("test", work)
    waiting = jobs.submit("test", lambda _: steps.append("never"))
    jobs.start()
    assert begun.wait(10)
    job.cancel()
    waiting.cancel()
    assert (job.state, waiting.state) == ("cancelled", "cancelled")
    last = jobs.submit("test", lambda _: None)
    go_on.set()
    assert last.ended.wait(10)
    assert steps == [0]
    assert job.state == "cancelled", "its thread does not call it done"


def test_only_so_many_jobs_wait(jobs: Jobs) -> None:
    """A page that asks in a loop would fill the memory."""
    for _ in range(16):
        jobs.submit("test", lambda _: None)
    message = "at most 16 jobs may wait, got one more; cancel some"
    with pytest.raises(InputError, match=re.escape(message)):
        jobs.submit("test", lambda _: None)


def test_the_oldest_jobs_are_forgotten(jobs: Jobs) -> None:
    """Each holds its motion."""
    first = jobs.submit("test", lambda _: None)
    first.cancel()
    for _ in range(60):
        jobs.submit("test", lambda _: None).cancel()
    with pytest.raises(KeyError):
        jobs.get(first.id)

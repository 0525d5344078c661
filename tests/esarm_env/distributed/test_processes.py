"""What is refused before processes meet."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.distributed.processes import check_versions, join_processes, n_launched


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({}, 1),
        ({"WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}, 4),
        ({"WORLD_SIZE": "4"}, 1),  # of somebody else's launcher
        ({"WORLD_SIZE": "many", "RANK": "0", "LOCAL_RANK": "0"}, 1),
    ],
)
def test_processes_are_counted_as_a_launcher_says(
    environment: dict[str, str], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waits for others that nobody started waits for ever."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert n_launched() == count


def test_without_accelerate_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional, and torchrun knows nothing of it."""
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'esarm[distributed]'")):
        join_processes(cpu=True)


def test_other_versions_are_refused_with_both() -> None:
    """Weights of two torches drift apart without a word."""
    check_versions([{"torch": "2.8"}, {"torch": "2.8"}])
    with pytest.raises(InputError, match=re.escape("torch 2.8 in process 0 and 2.9 in process 1")):
        check_versions([{"torch": "2.8"}, {"torch": "2.9"}])


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL waits for ever, or says something of a duplicate GPU."""
    pytest.importorskip("accelerate")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match=re.escape("at most the number of GPUs, 1, got 2")):
        join_processes()

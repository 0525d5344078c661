"""Worker processes that die, cannot start or are called off, played by a few lines of Python."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.corpus.capture.pool import run_jobs

# Echoes jobs with its process number; "crash" kills it, and the folder keeps who was started.
WORKER = """
import json, os, pathlib, sys
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
print("{}", flush=True)
for line in sys.stdin:
    video = json.loads(line)["video"]
    if video == "crash":
        print("about to fall", file=sys.stderr, flush=True)
        os.abort()
    if video == "leave":
        sys.exit(3)
    print(json.dumps({"pid": os.getpid(), "video": video}), flush=True)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    (tmp_path / "started").mkdir()
    return [sys.executable, str(script), str(tmp_path / "started")]


def jobs(*videos: str) -> list[dict[str, str]]:
    return [{"video": video} for video in videos]


@pytest.mark.parametrize("n_workers", [1, 3])
def test_every_job_is_answered_once(tmp_path: Path, command: list[str], n_workers: int) -> None:
    """A job that is lost or done twice would only be seen in the counts."""
    names = [f"{number}" for number in range(12)]
    answers = list(run_jobs(command, jobs(*names), n_workers=n_workers))
    assert sorted(job["video"] for job, _ in answers) == sorted(names)
    assert all(answer["video"] == job["video"] for job, answer in answers)
    assert 1 <= len(list((tmp_path / "started").iterdir())) <= n_workers


def test_no_jobs_start_no_worker(tmp_path: Path, command: list[str]) -> None:
    """A finished tree must be skipped at once."""
    assert list(run_jobs(command, [], n_workers=4)) == []
    assert list((tmp_path / "started").iterdir()) == []


@pytest.mark.parametrize(
    ("fatal", "how"),
    [
        ("crash", "crash: ended its worker process (signal 6, last words: about to fall)"),
        ("leave", "leave: ended its worker process (status 3, last words: none)"),
    ],
)
def test_a_dead_worker_costs_one_job(command: list[str], fatal: str, how: str) -> None:
    """MediaPipe may abort on one video of thousands, at three in the morning."""
    answers = dict(
        (job["video"], answer)
        for job, answer in run_jobs(command, jobs("a", fatal, "b"), n_workers=1)
    )
    assert answers[fatal] == {"fault": how}
    assert answers["a"]["pid"] != answers["b"]["pid"], "the dead one is replaced"


@pytest.mark.parametrize(
    ("hello", "error", "rule"),
    [
        (
            "sys.exit('no libGL')",
            InputError,
            "worker must start, got status 1, last words: no libGL",
        ),
        ("""print('{"fault": "the model is bad"}')""", InputError, "the model is bad"),
        ("""print('{"missing": "av"}')""", MissingExtraError, "pip install 'esarm[capture]'"),
    ],
)
def test_a_worker_that_cannot_start_ends_the_run(
    hello: str, error: type[Exception], rule: str
) -> None:
    """The same fault a thousand times would be no better."""
    command = [sys.executable, "-c", f"import sys\n{hello}"]
    with pytest.raises(error, match=re.escape(rule)):
        list(run_jobs(command, jobs(*"abcdef"), n_workers=2))


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    """After an interrupt nothing may go on computing; this worker would never answer."""
    script = "import sys\nprint('{}', flush=True)\nprint('{}', flush=True)\nsys.stdin.read()"
    with closing(run_jobs([sys.executable, "-c", script], jobs("a", "b"), n_workers=1)) as done:
        assert next(done) == ({"video": "a"}, {})

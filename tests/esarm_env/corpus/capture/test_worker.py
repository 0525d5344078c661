"""The worker's side of the conversation."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.capture import CaptureSummary, worker


def test_every_order_is_answered_even_by_a_bug() -> None:
    """One unforeseen exception would otherwise cost the restart of MediaPipe per video."""

    def capture(video: Path, target: Path) -> CaptureSummary:
        if video.stem == "bad":
            raise InputError(f"{video}: must show a face")
        if video.stem == "bug":
            raise IndexError("list index")
        assert target == Path("good.csv"), "the target is passed on"
        return CaptureSummary(4, 1, 0.5)

    orders = [{"video": f"{name}.mp4", "target": f"{name}.csv"} for name in ("bad", "bug", "good")]
    answers = io.StringIO()
    worker.serve(io.StringIO("\n".join(map(json.dumps, orders))), answers, capture=capture)
    assert [json.loads(line) for line in answers.getvalue().splitlines()] == [
        {"fault": "bad.mp4: must show a face"},
        {"fault": "bug.mp4: IndexError: list index"},
        {"n_frames": 4, "n_lost": 1, "mean_quality": 0.5},
    ]


def test_a_worker_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then can the caller name the extra, instead of a traceback from another process."""
    monkeypatch.setattr(worker, "find_spec", lambda name: None if name == "av" else name)
    assert worker.readiness(Path("any")) == {"missing": "av"}


def test_a_worker_says_that_its_model_is_bad(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Said once at the start, not once for every video."""
    monkeypatch.setattr(worker, "find_spec", lambda name: name)
    answer = worker.readiness(tmp_path / "absent.task")
    assert answer["fault"].startswith("`model` must be a Face Landmarker file, got no file")

"""A reward on a server in a run: looked for before the first stage, failures in one line."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from train.cli import main
from train.run.run_folder import RunFolder


class Server(ThreadingHTTPServer):
    """Scores by the jaw's first frame; fails from its batch number `fails_at` on."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked, self.fails_at = 0, 10_000
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """Answers a batch."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        """Write scores, or a complaint."""
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += bool(batch["episodes"])
        fails = self.server.asked >= self.server.fails_at
        scores = [float(sum(episode["tokens"]) % 7) for episode in batch["episodes"]]
        said = b"out of memory" if fails else json.dumps({"version": 1, "scores": scores}).encode()
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server at work."""
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def test_an_experiment_climbs_what_a_server_scores(
    finished_run: Path, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one seam between a laboratory's own judge and the pipeline."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    command = ["improve", "--from", str(run), "--as", "judged", "--algorithm", "reinforce"]
    command += ["--set", "improve.iterations=1"]
    command += ["--reward", f"{{{server.url}: 0.5, jerk: -0.1}}"]
    server.fails_at = 1
    with pytest.raises(SystemExit, match=r"^2$"):
        main(command)
    said = f"the reward server {server.url} must answer 200, got 500 Internal Server Error: "
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(f"esarm: {said}out of memory; "), lines
    assert lines[-1].endswith("; the same command goes on from here")
    server.fails_at = 10_000
    main(command)
    reward = RunFolder.open(run / "experiments" / "judged").config.improve.reward
    assert reward == {server.url: 0.5, "jerk": -0.1}
    assert f"0.5 * {server.url} - 0.1 * jerk" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["{}", "bond:{}", "{{learned: 1, {}: 0.1}}"])
def test_a_server_that_is_not_there_is_said_before_the_first_stage(
    form: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would else be noticed after the hours of six stages."""
    gone = server.url
    server.server_close()
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["run", "--run", str(tmp_path / "x"), "--set", f"improve.reward={form.format(gone)}"])
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"esarm: `reward` cannot be used: the reward server {gone} must be")
    assert said.endswith("; start it first") and len(said.splitlines()) == 1
    assert not (tmp_path / "x").exists()

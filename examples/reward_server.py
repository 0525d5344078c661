"""A reward on a server: `python examples/reward_server.py --serve`, reward `http://127.0.0.1:8000/`.

The server needs Python alone and may run where ESARM is not installed: copy it, change `score`.
Without `--serve` three recordings are scored, to see it at work.
"""

import array
import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def score(episode: dict[str, Any], channels: list[str]) -> float:
    """Return how far the corners of the mouth are up, 0 to 1, in the mean over the frames."""
    n_frames, width = episode["motion"]["shape"]
    motion = array.array("f", base64.b64decode(episode["motion"]["base64"]))  # frame by frame
    corners = [channels.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
    return sum(sum(motion[corner::width]) for corner in corners) / (len(corners) * n_frames)


class Handler(BaseHTTPRequestHandler):
    """Answers each batch of finished animations with their scores."""

    protocol_version = "HTTP/1.1"  # keeps connections

    def do_POST(self) -> None:
        """Read a batch, write its scores; one without episodes asks whether we are there."""
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        scores = [score(episode, batch["channels"]) for episode in batch["episodes"]]
        reply = json.dumps({"version": 1, "scores": scores}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: there is a line for every batch of a training."""


def show(server: ThreadingHTTPServer, **env_kwargs: Any) -> None:
    """Score three recordings by the server, beside what ships."""
    from esarm_env import SpeechAnimationEnv

    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    env = SpeechAnimationEnv(reward={"accuracy": 1.0, url: 0.5}, **env_kwargs)
    task = env.sequence_task
    animations = task.recorded(task.corpus.split("validation")[:3])
    total, terms = env.reward_function.score_terms(animations)
    print("reward: accuracy + 0.5 * server")
    for row, name in enumerate(task.ids_of(animations.utterance)):
        parts = terms["accuracy"][row], terms[url][row]
        print(f"{name}: {total[row]:.3f} = {parts[0]:.3f} + 0.5 * {parts[1]:.3f}")


def main(port: int = 8000, *, serve: bool = False, **env_kwargs: Any) -> None:
    """Serve until it is interrupted, or show how it is asked."""
    with ThreadingHTTPServer(("127.0.0.1", port if serve else 0), Handler) as server:
        if serve:
            server.serve_forever()
        show(server, **env_kwargs)
        server.shutdown()


if __name__ == "__main__":
    main(serve="--serve" in sys.argv)

"""Servers in a thread, on a free port, that answer as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = Callable[["Handler", dict[str, Any]], None]


class Server(ThreadingHTTPServer):
    """Keeps what it was asked; `answer` is called for every batch."""

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/score"


class Handler(BaseHTTPRequestHandler):
    """Reads a batch, and lets the server's `answer` write what it will."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        """Count connections."""
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        """Answer a batch."""
        length = int(self.headers["Content-Length"])
        assert self.headers["Content-Type"] == "application/json", "as the protocol says"
        batch = json.loads(self.rfile.read(length))
        self.server.asked.append(batch | {"path": self.path})
        self.server.answer(self, batch)

    def reply(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send `content` as JSON, bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    """Return a function that starts a server; all are closed at the end."""
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        server = Server(answer)
        servers.append(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

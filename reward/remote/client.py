"""HTTP client of reward servers: one POST a batch, kept alive, with bounds on time and size.

Python's own `http.client` alone: it follows no redirect, asks no proxy and unpacks nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import time
from dataclasses import dataclass
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
)
from typing import Any
from urllib.parse import urlsplit

from esarm_env.core.errors import InputError, one_line
from esarm_env.rewards.validation import RewardServerError

TIMEOUT_S = 60.0  # for the whole answer to a batch
LARGEST_REPLY = 16 << 20  # bytes; scores by chunk of 1,000 long animations take a few million
_PIECE = 1 << 16
_SHOWN = 200  # letters of a server's complaint
_TIMEOUT = re.compile(r"timeout=(\d+(?:\.\d*)?|\.\d+)")
# What a kept connection answers that the server has closed in the meantime.
_CLOSED = (BadStatusLine, BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


@dataclass(frozen=True)
class Address:
    """Where a reward server is.

    Attributes:
        url: As it was given.
        secure: Whether by TLS, `https`.
        host: Name or number.
        port: From 1 on.
        path: What is asked for there, with its query.
        timeout_s: How long an answer may take.
    """

    url: str
    secure: bool
    host: str
    port: int
    path: str
    timeout_s: float = TIMEOUT_S

    @classmethod
    def read(cls, url: str) -> Address:
        """Return what `url` says: `http://HOST:PORT/PATH`, with `#timeout=SECONDS` if wanted.

        Raises:
            InputError: If it is no such address, or holds a password.
        """
        rule = "`reward` must be an address such as http://HOST:PORT/PATH"
        if not re.fullmatch(r"[\x21-\x7e]+", url):
            raise InputError(f"{rule} without spaces and letters beyond ASCII, got {url!r}")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InputError(f"{rule}, got {url!r}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise InputError(f"{rule}, got {url!r}")
        if parts.username is not None or parts.password is not None:
            # Settings of a run are written, and passed on.
            raise InputError(f"{rule} without a user's name or password, got one for {parts.path}")
        secure = parts.scheme == "https"
        return cls(
            url,
            secure,
            parts.hostname,
            port or (443 if secure else 80),
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            _timeout(parts.fragment, url),
        )


def _timeout(fragment: str, url: str) -> float:
    """Return what stands behind `#`, which is ours: a client sends it nowhere."""
    if not fragment:
        return TIMEOUT_S
    found = _TIMEOUT.fullmatch(fragment)
    seconds = float(found[1]) if found else 0.0
    if not 0 < seconds < math.inf:
        raise InputError(
            f"`reward` must end in its path or in #timeout=SECONDS above 0, got {url!r}"
        )
    return seconds


class Client:
    """A connection to a reward server; opened when it is needed, kept while it lasts.

    A copy, a pickle and the child of a fork connect anew.
    """

    def __init__(self, address: Address) -> None:
        """Know the `address`; nothing is opened yet."""
        self.address = address
        self._connection: HTTPConnection | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Client], tuple[Address]]:
        return Client, (self.address,)

    def __del__(self) -> None:
        """Let go of the connection, which else warns of it."""
        if hasattr(self, "_connection"):
            self._close()

    def post(self, body: bytes) -> bytes:
        """Return what the server answers to `body`, a JSON text.

        Raises:
            RewardServerError: If it cannot be reached, takes longer than `address.timeout_s`,
                answers with another status than 200, or with more than `LARGEST_REPLY` bytes.
        """
        with self._lock:
            if self._process != os.getpid():  # the parent's connection carries the parent's answers
                self._close()
                self._process = os.getpid()
            try:
                return self._post(body)
            except BaseException:
                self._close()  # what is still to come would be read as the next answer
                raise

    def _post(self, body: bytes) -> bytes:
        deadline = time.monotonic() + self.address.timeout_s
        kept = self._connection is not None and self._connection.sock is not None
        try:
            try:
                response, sock = self._ask(body, deadline)
            except _CLOSED:
                if not kept:
                    raise
                self._close()
                response, sock = self._ask(body, deadline)
            with response:
                return self._read(response, sock, deadline)
        except TimeoutError as error:
            raise self.failure(
                f"must answer within {self.address.timeout_s:g} s, got no whole answer",
                "let it answer sooner, or allow it more time by #timeout=SECONDS at the end",
            ) from error
        except (OSError, HTTPException) as error:
            raise self.failure(
                f"must be there and speak HTTP, got {type(error).__name__}: {one_line(error)}",
                "start it first",
            ) from error

    def _ask(self, body: bytes, deadline: float) -> tuple[HTTPResponse, Any]:
        """Send a request; return the answer, of which only the head is read, and its socket."""
        connection = self._connection or self._connect()
        self._connection = connection
        connection.timeout = _left(deadline)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request("POST", self.address.path, body, headers)
        sock = connection.sock  # which the connection drops where the server will close it
        return connection.getresponse(), sock

    def _connect(self) -> HTTPConnection:
        kind: Any = HTTPSConnection if self.address.secure else HTTPConnection
        made: HTTPConnection = kind(self.address.host, self.address.port)
        return made

    def _read(self, response: HTTPResponse, sock: Any, deadline: float) -> bytes:
        """Return an answer's body, whose every piece may come late and the whole be too large."""
        pieces, size = [], 0
        while True:
            sock.settimeout(_left(deadline))
            piece = response.read1(_PIECE)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST_REPLY:
                raise self.failure(
                    f"must answer with at most {LARGEST_REPLY >> 20} MiB, got more",
                    "send scores alone",
                )
        found = b"".join(pieces)
        if response.length:  # a body that ends early ends without an error
            raise self.failure(
                f"must send its whole answer, got {response.length} bytes too few",
                "its own output may tell why",
            )
        if response.status != 200:
            said = " ".join(found[: 4 * _SHOWN].decode("utf-8", "replace").split())[:_SHOWN]
            where = " (redirects are not followed)" if 300 <= response.status < 400 else ""
            raise self.failure(
                f"must answer 200, got {response.status} {response.reason}{where}"
                + (f": {said}" if said and not where else ""),
                "its own output may tell more",
            )
        return found

    def failure(self, broken: str, remedy: str) -> RewardServerError:
        """Return the error to raise for a rule that the server broke."""
        return RewardServerError(f"the reward server {self.address.url} {broken}; {remedy}")

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
        self._connection = None


def _left(deadline: float) -> float:
    """Return the seconds until `deadline`."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left

"""The server of the studio: the loopback address, a free port, a token, and an end without fuss."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from esarm_env.core.errors import InputError
from train.studio.app import make_app
from train.studio.guard import LOOPBACK, new_token
from train.studio.jobs import THREAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from train.studio.studio import Studio

PORT = 8765
_END_S = 1  # how long open connections are waited for at the end


class _Server(uvicorn.Server):
    """A server that says when it answers, so that no address is printed that does not."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").addFilter(_is_no_cancelling)
        await super().shutdown(sockets=sockets)


def _is_no_cancelling(record: logging.LogRecord) -> bool:
    """Return whether a record tells more than that Ctrl-C ended a request, as was wanted."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, asyncio.CancelledError) or record.msg.startswith("Cancel "))


def listening(port: int) -> socket.socket:
    """Return a socket on the loopback address, on a port that is free if `port` is taken.

    Args:
        port: 0 lets the system choose.

    Raises:
        InputError: If it is no port, or this user may not listen on it.
    """
    if not 0 <= port <= 65_535:
        raise InputError(f"`port` must be 0 to 65535, got {port}")
    for tried in (port, 0):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((LOOPBACK, tried))
            found.listen(64)
        except OSError as error:
            found.close()
            if error.errno != errno.EADDRINUSE:
                raise InputError(
                    f"`port` must be one to listen on, got {port}, of which the system says "
                    f"{error.strerror!r}; leave it out"
                ) from error
        else:
            return found
    raise InputError(f"`port` must be one that is free, got {port}, and the system has no other")


def _told(line: str) -> None:
    print(line, flush=True)  # also where it goes to a file or a pipe


def serve(studio: Studio, *, port: int, browse: bool, told: Callable[[str], None] = _told) -> None:
    """Serve a studio until it is interrupted.

    Args:
        studio: What is served.
        port: To listen on if it is free.
        browse: Whether the page is opened in the user's browser.
        told: Gets the lines for the terminal, the address among them.

    Raises:
        InputError: As `listening`.
    """
    place = listening(port)
    found, token = place.getsockname()[1], new_token()
    address = f"http://{LOOPBACK}:{found}/?token={token}"

    def ready() -> None:
        told(f"studio: {address}")
        told("Ctrl-C ends it.")
        if browse:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    if port not in (0, found):
        told(f"port {port} is in use; this studio has {found}")
    server = _Server(
        uvicorn.Config(
            make_app(studio, token=token, port=found),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_END_S,
            ws="none",
        ),
        ready,
    )
    try:
        server.run(sockets=[place])
    except KeyboardInterrupt:  # raised again by uvicorn once all is closed: a plain end
        pass
    finally:
        place.close()


def end_at_once() -> None:
    """End this process with exit code 0 if one of the studio's threads is still at work.

    An interpreter that takes itself down beside a thread in C++ is aborted ("terminate called
    without an active exception"), or waits for an import that the thread will never finish.
    Requests that are being answered are waited for, as at any end.
    """
    if not any(thread.name.startswith(THREAD) for thread in threading.enumerate()):
        return
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)

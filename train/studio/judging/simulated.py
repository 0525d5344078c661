"""A rater without eyes, for rehearsals: judges what the page would show, through its addresses.

A study that is rehearsed in this way has been through the page's pairs, sides, repeats and file;
whatever it finds is called simulated, see `reward.judging` for people.
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from train.studio.studio import Studio

# Gets the motions (T, 52) on the left and on the right, and how many answers the rater has given;
# returns a verdict of `VERDICTS`.
Taste = Callable[["FloatArray", "FloatArray", int], str]
_WAIT_S = 10


@contextlib.contextmanager
def served(studio: Studio) -> Iterator[str]:
    """Yield the address of a studio, with its token, that answers until the block ends."""
    import uvicorn

    from train.studio.app import make_app
    from train.studio.guard import LOOPBACK, new_token
    from train.studio.server import listening

    place, token = listening(0), new_token()
    port = place.getsockname()[1]
    app = make_app(studio, token=token, port=port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()  # the socket listens already: who asks too early waits
    try:
        yield f"http://{LOOPBACK}:{port}/?token={token}"
    finally:
        server.should_exit = True
        thread.join()
        place.close()


class SimulatedRater:
    """Answers as a taste does."""

    def __init__(self, address: str, name: str, taste: Taste) -> None:
        """Sit down in front of a page.

        Args:
            address: As `esarm studio` prints it, with the token.
            name: Of the rater.
            taste: What they prefer.
        """
        parts = urllib.parse.urlsplit(address)
        self._host = f"http://{parts.netloc}"
        self._token = urllib.parse.parse_qs(parts.query)["token"][0]
        self.name, self._taste = name, taste
        self._told: dict[str, Any] = {}
        self._place = ""
        # Whatever proxy the environment names, this machine asks itself.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def make(self, **asked: object) -> None:
        """Ask for animations to judge, with the fields of `PoolAsked`."""
        self._json("POST", "/api/judge/pool", asked)

    def judge(self, pairs: int, *, choice: str = "random") -> int:
        """Answer until `pairs` answers of this name are in the file, or no pair is left.

        Returns:
            How many answers of this name there are.

        Raises:
            InputError: If the page refuses something, with its words.
        """
        self.sit(pairs, choice=choice)
        while self.answer():
            pass
        return self.leave()

    def sit(self, pairs: int, *, choice: str = "random") -> None:
        """Begin, or go on under this name; errors as of `judge`."""
        body = {"rater": self.name, "choice": choice, "pairs": pairs, "go_on": True}
        self._told = self._json("POST", "/api/judge/sessions", body)
        self._place = f"/api/judge/sessions/{self._told['session']}"

    def answer(self) -> bool:
        """Answer the pair on the screen; return whether there was one. Errors as of `judge`."""
        while self._told["state"] == "waiting":
            self._told = self._json("GET", f"{self._place}?wait={_WAIT_S}")
        if self._told["state"] != "pair":
            return False
        number = int(self._told["number"])
        sides = unpacked(self._bytes("GET", f"{self._place}/pairs/{number}/motions"))
        answer = {"number": number, "verdict": self._taste(sides["a"], sides["b"], number)}
        self._told = self._json("POST", f"{self._place}/answers", answer)
        return True

    def leave(self) -> int:
        """End the session, and return how many answers of this name there are."""
        self._json("DELETE", self._place)
        return int(self._told["answered"])

    def agreement(self) -> dict[str, Any]:
        """Return how far the answers of all raters agree, as the page shows it."""
        return self._json("GET", "/api/judge/agreement")

    def _json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._bytes(method, path, body))
        return told

    def _bytes(self, method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._host + path, data, headers, method=method)
        try:
            with self._opener.open(request) as answer:
                found: bytes = answer.read()
                return found
        except urllib.error.HTTPError as error:
            said = json.loads(error.read() or b"{}")
            raise InputError(str(said.get("error", error))) from error


def unpacked(body: bytes) -> dict[str, FloatArray]:
    """Return motions by name, (T, 52) each, of a body that `train.studio.packing.packed` made."""
    (length,) = struct.unpack_from("<I", body)
    told = json.loads(body[4 : 4 + length])
    arrays = {}
    for name, place in told["arrays"].items():
        count, at = int(np.prod(place["shape"])), 4 + length + place["at"]
        values = np.frombuffer(body, np.dtype(place["type"]).newbyteorder("<"), count, at)
        arrays[name] = (values * told["step"]).astype(np.float32).reshape(place["shape"])
    return arrays

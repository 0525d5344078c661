"""What a request asks for, field by field, checked: messages name the field and its rule."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from train.studio.studio import Studio

MOST_BYTES = 512 * 1024  # of a request in JSON: a curve with a point in each frame of ten minutes


class Asked:
    """Fields of a JSON object; each is taken once, and what nobody takes is refused."""

    def __init__(self, given: object) -> None:
        """Take the object.

        Raises:
            InputError: If it is none.
        """
        if not isinstance(given, dict):
            raise InputError(f"the request must be a JSON object, got {type(given).__name__}")
        self._given: dict[str, Any] = dict(given)

    def text(self, name: str, default: str | None = None, *, most: int = 300) -> str:
        """Return a text of 1 to `most` characters."""
        value = self._take(name, default)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise InputError(
                f"`{name}` must be a text of 1 to {most} characters, got {value!r:.80}"
            )
        return value

    def choice(self, name: str, known: Sequence[str], default: str | None = None) -> str:
        """Return one of `known`."""
        value = self._take(name, default)
        if value not in known:
            raise InputError(f"`{name}` must be one of {', '.join(known)}, got {value!r:.80}")
        return str(value)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number from `low` to `high`."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"`{name}` must be a whole number, {low} to {high}, got {value!r:.80}")
        return value

    def maybe(self, name: str) -> Any:
        """Return what is given, None if nothing is; whoever takes it checks it."""
        return self._given.pop(name, None)

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._given.pop(name, default)
        if not isinstance(value, bool):
            raise InputError(f"`{name}` must be true or false, got {value!r:.80}")
        return value

    def done(self) -> None:
        """Check that every field was taken.

        Raises:
            InputError: If one was not: silence would let a mistyped name do nothing.
        """
        if self._given:
            raise InputError(f"fields must be known ones, got {', '.join(self._given):.80}")

    def _take(self, name: str, default: object) -> object:
        value = self._given.pop(name, default)
        if value is None:
            raise InputError(f"`{name}` must be given, got nothing")
        return value


def numbers(name: str, given: object, *, most: int = 20_000) -> list[float]:
    """Return a list of finite numbers.

    Raises:
        InputError: If it is none, or longer than `most`.
    """
    if not isinstance(given, list) or not 0 < len(given) <= most:
        raise InputError(f"`{name}` must be a list of 1 to {most} numbers, got {given!r:.80}")
    for value in given:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            raise InputError(f"`{name}` must hold finite numbers, got {value!r:.80}")
    return [float(value) for value in given]


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


async def read_asked(request: Request) -> Asked:
    """Return the fields of a request's body.

    Raises:
        InputError: If it is no JSON object, or too long.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise InputError(f"the request must have at most {MOST_BYTES} bytes, got more")
    try:
        return Asked(json.loads(bytes(body)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request must be JSON, got {bytes(body[:40])!r}") from error


def studio_of(request: Request) -> Studio:
    """Return the studio that a request is for."""
    studio: Studio = request.app.state.studio
    return studio


def whole_in(given: str, name: str, low: int, high: int) -> int:
    """Return a whole number of an address.

    Raises:
        InputError: If it is none, or out of its range.
    """
    try:
        value = int(given) if len(given) < 12 else low - 1
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise InputError(f"`{name}` must be a whole number, {low} to {high}, got {given!r:.80}")
    return value

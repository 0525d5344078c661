"""`hf://user/name@revision`, a repository on the Hub, as text and as it stands in a `Path`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from esarm_env.core.errors import InputError

SCHEME = "hf://"
_MEANT = "hf:/"  # `Path("hf://user/name")` has one slash
_ADDRESS = re.compile(r"([^/@]+/[^/@]+?)/?(?:@([^@]+))?")


@dataclass(frozen=True)
class Address:
    """A repository on the Hub.

    Attributes:
        name: `user/name`.
        revision: Branch, tag or commit; None is the newest of `main`.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return it as it is written: `hf://user/name@revision`."""
        return SCHEME + self.name + (f"@{self.revision}" if self.revision else "")


def is_address(source: object) -> bool:
    """Return whether a text or path is meant for the Hub."""
    return str(source).startswith(_MEANT)


def as_written(source: object) -> str:
    """Return an address with both slashes, and another text or path as it is."""
    text = str(source)
    return SCHEME + text.removeprefix(_MEANT).lstrip("/") if is_address(source) else text


def parse_address(source: object) -> Address:
    """Return what `hf://user/name` or `hf://user/name@revision` names.

    Raises:
        InputError: If it is of another form.
    """
    found = _ADDRESS.fullmatch(as_written(source).removeprefix(SCHEME))
    if found is None or not is_address(source):
        raise InputError(
            f"an address on the Hub must be {SCHEME}USER/NAME or {SCHEME}USER/NAME@REVISION, got "
            f"{as_written(source)!r}"
        )
    return Address(found[1], found[2])

"""Exceptions: `InputError` for input that cannot be used, `MissingExtraError` for an absent extra.

The command line turns it into a single line and exit code 2; a library caller catches it as the
`ValueError` it is.
"""

from __future__ import annotations

from collections.abc import Callable


class InputError(ValueError):
    """An input of the user breaks a rule; the message names it, the rule, the value, the remedy."""


class NotInRunError(InputError):
    """A run lacks an optional part that was asked for, and is sound without it."""


class MissingExtraError(ImportError):
    """An optional dependency is absent; the message holds the exact pip line."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        """Say which `package` is missing for what `purpose`, and which `extra` brings it."""
        super().__init__(f"{purpose} needs `{package}`: run `pip install 'esarm[{extra}]'`")
        self._parts = (package, extra, purpose)

    def __reduce__(self) -> tuple[Callable[[str, str, str], MissingExtraError], tuple[str, ...]]:
        """Pickle: a worker process that lacks an extra must be able to say so."""
        return _remake, self._parts


class MissingProgramError(ImportError):
    """What an optional part runs outside Python is absent; the message says how to get it."""


def _remake(package: str, extra: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(package, extra=extra, purpose=purpose)


def with_kind(error: Exception) -> str:
    """Return an error's text without line breaks, behind its kind unless it is one for a user."""
    text = one_line(error)
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def one_line(error: Exception) -> str:
    """Return an error's text without line breaks; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__

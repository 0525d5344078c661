"""What the Hub refuses, and what the network does, in one line each; no token is ever in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from esarm_env.core.errors import InputError, MissingExtraError, one_line

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def import_hub() -> Any:
    """Return the package `huggingface_hub`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        purpose = "the Hugging Face Hub (`hf://user/name`)"
        raise MissingExtraError("huggingface_hub", extra="hub", purpose=purpose) from error
    return huggingface_hub


@contextlib.contextmanager
def told_plainly(name: str, revision: str | None = None) -> Iterator[None]:
    """Turn errors of `huggingface_hub` about a repository into an `InputError` of one line.

    Args:
        name: Of the repository, `user/name`.
        revision: Branch, tag or commit that was asked for.

    Raises:
        InputError: In place of them.
    """
    try:
        yield
    except (InputError, MissingExtraError):
        raise
    except Exception as error:
        for each in _chain(error):
            said = _said(each, name, revision)
            if said is not None:
                raise InputError(said) from error
        raise


def _chain(error: BaseException | None) -> Iterator[Exception]:
    """Yield an error and its causes: uploads wrap what went wrong."""
    while isinstance(error, Exception):
        yield error
        error = error.__cause__


def _said(error: Exception, name: str, revision: str | None) -> str | None:
    """Return what an error of the Hub means; None where it is not the Hub's."""
    from huggingface_hub import constants, errors

    where = f"{name!r} on the Hub"
    if isinstance(error, errors.HFValidationError):
        return f"the name of a repository must be USER/NAME as on the Hub, got {name!r}"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{where} must be open to you, got a gated repository; ask for access on its page, "
            f"and {_LOG_IN}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{where} must have the revision asked for, got none called {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{where} must be there and open to you, got no such repository, and no folder of that "
            f"name here; mind the spelling, and if it is private {_LOG_IN}"
        )
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"{where} must be yours to use, got a refusal (HTTP {status}); {_LOG_IN}"
        return f"{where} must be served, got HTTP {status} by the server; try again later"
    if isinstance(error, errors.LocalEntryNotFoundError) or _is_network(error):
        if constants.HF_HUB_OFFLINE:
            return f"{where} must be in the cache while HF_HUB_OFFLINE is set, got none; unset it"
        reason = one_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        return (
            f"{where} must be in reach or in the cache, got neither ({reason[:120]}); see to the "
            "network, or give a folder"
        )
    if isinstance(error, OSError) and "onsistency check" in str(error):
        return f"{where} must arrive whole, got a file that was cut on the way; try again"
    return None


def _is_network(error: Exception) -> bool:
    """Return whether the HTTP library, `httpx` of some version, or its user met a dead network."""
    library = type(error).__module__.partition(".")[0]
    return library.startswith("httpx") or isinstance(error, ConnectionError | TimeoutError)

"""Other libraries' errors in messages of ours."""

from __future__ import annotations


def one_line(error: Exception) -> str:
    """Return an error's text without line breaks; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__

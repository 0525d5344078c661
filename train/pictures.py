"""Pictures are optional: without `matplotlib` (extra `plots`) a report is written without them."""

from __future__ import annotations

import re
from collections.abc import Callable

from esarm_env.core.errors import MissingExtraError

_IMAGE = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\.png\)")


def draw_or_explain(page: str, draw: Callable[[], None]) -> str:
    """Draw the pictures of a page; return the page.

    Args:
        page: Markdown that shows PNG files.
        draw: Writes these files; raises `MissingExtraError` where it cannot.

    Returns:
        `page`; or, without `matplotlib`, the page with a line about it instead of each picture.
    """
    try:
        draw()
    except MissingExtraError as error:
        line = f"(No picture: {error}.)"
        return _IMAGE.sub(lambda _: line, page)
    return page


def missing_matplotlib() -> MissingExtraError:
    """Return the error of a module that draws."""
    return MissingExtraError("matplotlib", extra="plots", purpose="A picture")

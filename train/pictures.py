"""Pictures are optional: without `matplotlib` (extra `plots`) a report is written without them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.cache import new_file
from esarm_env.core.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def write_png(figure: Figure, target: Path, *, dpi: int) -> None:
    """Write a figure as PNG; it is laid out for that, and keeps this layout.

    `savefig` alone would draw everything twice, the first time for the layout.
    """
    figure.set_dpi(dpi)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    with new_file(target) as draft:
        figure.savefig(draft, dpi=dpi, format="png")


def missing_matplotlib() -> MissingExtraError:
    """Return the error of a module that draws."""
    return MissingExtraError("matplotlib", extra="plots", purpose="A picture")

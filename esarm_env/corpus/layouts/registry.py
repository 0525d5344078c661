"""Registry of corpus layouts, and recognition of a folder's layout.

Only names are known at first: a layout is imported when a folder is opened with it, or with `auto`.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError, one_line
from esarm_env.core.plugins import Plugin, PluginRegistry, unknown_name
from esarm_env.corpus.layouts.tree import Tree, is_unicode, scan_tree
from esarm_env.corpus.layouts.unread import hints_on_no_layout
from esarm_env.formats.spellings import printable

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.corpus.layouts.layout import Layout
    from esarm_env.corpus.layouts.pairing import Found

LAYOUT_GROUP = "esarm.layouts"
AUTO = "auto"
_SHOWN_ENTRIES, _SHOWN_HINTS = 8, 3
# Where several fit, the first is meant: each is more specific than those after it. 3D-ETF stands
# before BEAT and RAVDESS since its files may have their names. Layouts of others stand, by name,
# before `generic` alone: no folder that ours tell by its names changes its meaning when a package
# is installed, and `generic` would leave them nothing that has a folder `audio`.
_FIRST, _LAST = ("mead", "vocaset", "3d-etf", "beat", "ravdess", "livelink"), ("generic",)


def _check_layout(value: object) -> Layout:
    from esarm_env.corpus.layouts.layout import Layout

    if isinstance(value, Layout):
        return value
    raise TypeError(f"its entry point is a {type(value).__name__}, not a `Layout`")


LAYOUTS: PluginRegistry[Layout] = PluginRegistry(
    "layout", LAYOUT_GROUP, check=_check_layout, reserved={AUTO: "the first layout that fits"}
)


def register_layout(layout: Layout, *, replace: bool = False) -> None:
    """Let folders of recordings be opened with `layout`, by its name or by `auto`.

    A package registers one for good through the entry-point group `esarm.layouts`, under the same
    name. `auto` asks it after our specific layouts and before `generic`.

    Args:
        layout: Of a name without spaces and colons.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If the name is taken or cannot be one, or `layout` is none.
    """
    try:
        _check_layout(layout)
    except TypeError:
        raise InputError(f"`layout` must be a `Layout`, got a {type(layout).__name__}") from None
    LAYOUTS.register(layout.name, layout, replace=replace)


def find_layouts() -> dict[str, Plugin[Layout]]:
    """Return all layouts by name, in the order in which `auto` asks them; imports none."""
    found = LAYOUTS.find()
    others = [name for name in found if name not in (*_FIRST, *_LAST)]
    return {name: found[name] for name in (*_FIRST, *others, *_LAST) if name in found}


def find_takes(
    folder: Path, layout: str = AUTO, *, head: str | None = None, rate_hz: float | None = None
) -> Found:
    """Return the takes in `folder`, without reading any audio or motion but vertices to be fitted.

    Args:
        folder: The corpus.
        layout: A name in `find_layouts()`, or `auto` for the first that recognises the folder.
        head: Of recordings of vertices: the head that coefficients are fitted on.
        rate_hz: What the user says of all motion; such recordings are refused with one.

    Returns:
        The layout, the takes sorted by id, and what was left out; there may be no take.

    Raises:
        InputError: If the layout is unknown or broken, the folder is none or is not laid out so,
            its `metadata.csv` is wrong, or `head` or `rate_hz` is of no use in it.
    """
    known = find_layouts()
    if layout not in known and not (layout == AUTO and known):
        choices = {AUTO: None, **known} if known else known
        raise InputError(unknown_name(layout, choices, setting="layout", kind="layout"))
    if not is_unicode(os.path.realpath(folder)):
        raise InputError(f"`folder` must have a path in UTF-8, got {str(folder)!r}; rename it")
    if not os.path.isdir(folder):  # also False for a name that is too long or links to itself
        raise InputError(f"`folder` must be a folder of recordings, got {str(folder)!r}")
    if layout == AUTO:
        tree = scan_tree(folder)
        return _find(_recognised(tree, known), tree, head, rate_hz)
    named, tree = _load(known[layout]), scan_tree(folder)
    found = _find(named, tree, head, rate_hz)
    if not found.takes and not named.recognises(tree):
        raise InputError(_not_recognised(tree, [named]))
    return found


def _find(layout: Layout, tree: Tree, head: str | None, rate_hz: float | None) -> Found:
    """Return the takes as `layout` finds them; refuse what it has no use for."""
    if layout.fits_vertices:
        if rate_hz is not None:
            raise InputError(
                f"`rate_hz` must be left out for the layout {layout.name!r}, whose sounds tell the "
                f"rate of its vertices, got {rate_hz:g}"
            )
        return layout.find(tree, head=head)  # type: ignore[call-arg]  # what the attribute says
    if head:
        raise InputError(
            f"`head` must be left out for the layout {layout.name!r}, which is no corpus of "
            f"vertices, got {head!r}"
        )
    return layout.find(tree)


def _recognised(tree: Tree, known: dict[str, Plugin[Layout]]) -> Layout:
    """Return the first layout that recognises `tree`."""
    usable = [plugin for plugin in known.values() if plugin.error is None]
    for plugin in usable:
        if _recognises(plugin, tree):
            return _load(plugin)
    raise InputError(_not_recognised(tree, [_load(plugin) for plugin in usable]))


def _load(plugin: Plugin[Layout]) -> Layout:
    """Return a layout under the name that it is asked for by, which the takes' index keeps."""
    return replace(plugin.load(), name=plugin.name)


def _recognises(plugin: Plugin[Layout], tree: Tree) -> bool:
    """Return whether a layout recognises `tree`; one that fails is passed over with a warning."""
    try:
        return plugin.load().recognises(tree)
    except Exception as error:
        warnings.warn(
            f"layout {plugin.name!r} of {plugin.package} failed at {tree.folder} and is left out: "
            f"{type(error).__name__}: {one_line(error)}",
            RuntimeWarning,
            stacklevel=4,
        )
        return False


def _not_recognised(tree: Tree, candidates: list[Layout]) -> str:
    """Build the error for a folder of no known layout."""
    shown = ", ".join(tree.entries[:_SHOWN_ENTRIES]) or "nothing"
    n_more = len(tree.entries) - _SHOWN_ENTRIES
    more = f" and {n_more} more" if n_more > 0 else ""
    lines = [f"  {layout.name}: {layout.expects}" for layout in candidates]
    hints = "".join(f"; {hint}" for hint in hints_on_no_layout(tree)[:_SHOWN_HINTS])
    first = f"{tree.folder}: must be laid out as below, found {shown}{more}{printable(hints)}"
    return "\n".join([first, *lines])

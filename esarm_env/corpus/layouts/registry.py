"""Registry of corpus layouts, and recognition of a folder's layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts.beat import describe_beat, recognises_beat
from esarm_env.corpus.layouts.etf import describe_etf, recognises_etf
from esarm_env.corpus.layouts.generic import describe_generic, recognises_generic
from esarm_env.corpus.layouts.livelink import describe_livelink, recognises_livelink
from esarm_env.corpus.layouts.mead import describe_mead, recognises_mead
from esarm_env.corpus.layouts.metadata import apply_metadata
from esarm_env.corpus.layouts.pairing import Describe, Found, pair_files
from esarm_env.corpus.layouts.ravdess import describe_ravdess, recognises_ravdess
from esarm_env.corpus.layouts.tree import Tree, is_unicode, scan_tree

AUTO = "auto"
_SHOWN_ENTRIES = 8


@dataclass(frozen=True)
class Layout:
    """A corpus layout: its name, its recogniser and its file rules.

    Attributes:
        name: What a user calls it.
        expects: One line for errors: what the folder must look like.
        recognises: Tells whether a folder is laid out like this.
        describe: Gives what tells of each file of a folder which take it belongs to.
        has_metadata: Whether `metadata.csv` in the folder changes the labels. Not so where labels
            are part of the corpus: a table there is somebody else's.
    """

    name: str
    expects: str
    recognises: Callable[[Tree], bool]
    describe: Callable[[Tree], Describe]
    has_metadata: bool = False

    def find(self, tree: Tree) -> Found:
        """Return the takes of `tree` and what was left out.

        Raises:
            InputError: If `metadata.csv` is wrong.
        """
        found = pair_files(tree, self.describe(tree), layout=self.name)
        return apply_metadata(tree, found) if self.has_metadata else found


# Where several fit, the first is meant: each is more specific than those after it. 3D-ETF stands
# before BEAT and RAVDESS since its files may have their names.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "mead",
            "ID/audio/EMOTION/level_K/NNN.m4a or ID/video/front/EMOTION/level_K/NNN.mp4, "
            "motion in blendshape/",
            recognises_mead,
            describe_mead,
        ),
        Layout(
            "3d-etf",
            "audio/NAME.wav and blendshape/NAME.npy (T, 52) at 30 fps, also in RAVDESS/ and HDTF/",
            recognises_etf,
            describe_etf,
            has_metadata=True,
        ),
        Layout(
            "beat",
            "N/N_NAME_TYPE_FIRST_LAST.wav and .json",
            recognises_beat,
            describe_beat,
        ),
        Layout(
            "ravdess",
            "Actor_NN/MM-VV-EE-II-SS-RR-AA.wav or .mp4, motion in blendshape/",
            recognises_ravdess,
            describe_ravdess,
        ),
        Layout(
            "livelink",
            "DATE_SLATE_TAKE/NAME_cal.csv with NAME.mov or NAME.wav, or NAME.csv with NAME.wav",
            recognises_livelink,
            describe_livelink,
            has_metadata=True,
        ),
        Layout(
            "generic",
            "audio/NAME.wav and blendshape/NAME.npy, .npz, .csv or .json, in equal subfolders; "
            "optional metadata.csv",
            recognises_generic,
            describe_generic,
            has_metadata=True,
        ),
    )
}


def find_takes(folder: Path, layout: str = AUTO) -> Found:
    """Return the takes in `folder`, without reading any audio or motion.

    Args:
        folder: The corpus.
        layout: A name in `LAYOUTS`, or `auto` for the first that recognises the folder.

    Returns:
        The layout, the takes sorted by id, and what was left out; there may be no take.

    Raises:
        InputError: If the layout is unknown, the folder is none or is not laid out so, or its
            `metadata.csv` is wrong.
    """
    if layout != AUTO and layout not in LAYOUTS:
        names = ", ".join((AUTO, *LAYOUTS))
        raise InputError(f"`layout` must be one of {names}, got {layout!r}")
    if not is_unicode(str(folder.resolve())):
        raise InputError(f"`folder` must have a path in UTF-8, got {str(folder)!r}; rename it")
    if not folder.is_dir():
        raise InputError(f"`folder` must be a folder of recordings, got {str(folder)!r}")
    tree = scan_tree(folder)
    candidates = [known for name, known in LAYOUTS.items() if layout in (AUTO, name)]
    if layout == AUTO:
        fitting = next((known for known in candidates if known.recognises(tree)), None)
        if fitting is None:
            raise InputError(_not_recognised(tree, candidates))
        return fitting.find(tree)
    found = candidates[0].find(tree)
    if not found.takes and not candidates[0].recognises(tree):
        raise InputError(_not_recognised(tree, candidates))
    return found


def _not_recognised(tree: Tree, candidates: list[Layout]) -> str:
    """Build the error for a folder of no known layout."""
    shown = ", ".join(tree.entries[:_SHOWN_ENTRIES]) or "nothing"
    n_more = len(tree.entries) - _SHOWN_ENTRIES
    more = f" and {n_more} more" if n_more > 0 else ""
    lines = [f"  {layout.name}: {layout.expects}" for layout in candidates]
    return "\n".join([f"{tree.folder}: must be laid out as below, found {shown}{more}", *lines])

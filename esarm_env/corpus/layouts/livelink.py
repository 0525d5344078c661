"""Live Link Face layout: the app's take folders, a CSV file of curves with a video or sound.

The app writes a folder `DATE_SLATE_TAKE` with `SLATE_TAKE_DEVICE.mov` and the curves as
`..._cal.csv` (against the actor's own neutral face) and `..._raw.csv`, older versions one plain
`.csv`. The first of `_cal`, plain and `_raw` that exists is used; `_neutral.csv` is one frame of
calibration. `NAME.csv` with `NAME.wav` in one folder is read as well.

Speaker is the folder that holds the take folders or files.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.takes import Take
from esarm_env.formats.spellings import name_form

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

_VARIANT = re.compile(r"(.+)_(cal|raw)", re.IGNORECASE)
_RANKS = {"cal": 0, "": 1, "raw": 2}
_NO_CURVES = re.compile(r".*_neutral|frame_?log|metadata|offsets", re.IGNORECASE)
_TAKE_FOLDER = re.compile(r"(LiveLinkFace_)?\d{8}_.+")

_Folder = tuple[str, ...]


def recognises_livelink(tree: Tree) -> bool:
    """Return whether some sound or video has curves in its own folder."""
    media = {(file.folders, name_form(file.stem)) for file in tree.files if file.is_media}
    only = _only_media(tree)
    return any(
        (file.folders, name_form(curves[0])) in media or only.get(file.folders) == curves[0]
        for file in tree.files
        if (curves := _curves(file)) is not None
    )


def describe_livelink(tree: Tree) -> Describe:
    """Return the function that assigns files of `tree` to recordings."""
    only = _only_media(tree)

    def describe(file: File) -> Part | None:
        if file.is_media:
            name = only.get(file.folders, file.stem)
            take = _take(tree.name, file.folders, name)
            return Part(take, "audio", rank=0 if file.is_sound else 1)
        curves = _curves(file)
        if curves is None:
            return None
        name, variant = curves
        return Part(_take(tree.name, file.folders, name), "motion", rank=_RANKS[variant])

    return describe


def _curves(file: File) -> tuple[str, str] | None:
    """Return name and variant (`cal`, `raw` or nothing) of a file of curves, or None."""
    if file.kind != ".csv" or _NO_CURVES.fullmatch(file.stem):
        return None
    variant = _VARIANT.fullmatch(file.stem)
    return (variant[1], variant[2].lower()) if variant else (file.stem, "")


def _only_media(tree: Tree) -> dict[_Folder, str]:
    """Return the name of the curves by folder, where one recording has another name than they."""
    media: defaultdict[_Folder, set[str]] = defaultdict(set)
    curves: defaultdict[_Folder, set[str]] = defaultdict(set)
    for file in tree.files:
        if file.is_media:
            media[file.folders].add(file.stem)
        elif (found := _curves(file)) is not None:
            curves[file.folders].add(found[0])
    return {
        folder: next(iter(names))
        for folder, names in curves.items()
        if len(names) == 1 and len(media.get(folder, ())) == 1
    }


def _take(root: str, folders: _Folder, name: str) -> Take:
    """Return recording `name` in `folders` of the corpus folder called `root`."""
    holders = [folder for folder in folders if not _TAKE_FOLDER.fullmatch(folder)]
    return Take(
        "/".join((*folders, name)),
        audio=None,
        motion=None,
        speaker=holders[-1] if holders else root,
    )


LAYOUT = Layout(
    "livelink",
    "DATE_SLATE_TAKE/NAME_cal.csv with NAME.mov or NAME.wav, or NAME.csv with NAME.wav",
    recognises_livelink,
    describe_livelink,
    has_metadata=True,
)

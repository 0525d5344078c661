"""Generic layout: `audio/` and `blendshape/`, in which the files of a take have one name.

Names may have folders: `audio/ANNA/one.wav` belongs to `blendshape/ANNA/one.csv`, and its speaker
is ANNA. Folders `ID/EMOTION/level_K/NNN` (as in EMOTE's trees) tell emotion and intensity as well.
Without folders the part of the name before the first `_` is the speaker. Sound and motion may also
lie side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.mead import VIEWS, is_level, mead_take
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.takes import Fault, Take
from esarm_env.formats.spellings import MOTION_FOLDERS, name_form

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

AUDIO_FOLDERS = frozenset({"audio", "video"})

_FOLDERS = AUDIO_FOLDERS | MOTION_FOLDERS


def recognises_generic(tree: Tree) -> bool:
    """Return whether there is an `audio` folder, or motion beside a sound or video."""
    return any(_is_in(file, AUDIO_FOLDERS) for file in tree.files if file.is_media) or bool(
        _media_ids(tree) & _motion_ids(tree)
    )


def describe_generic(tree: Tree) -> Describe:
    """Return the function that assigns files of `tree` to takes."""
    media, motion = _media_ids(tree), _motion_ids(tree)

    def describe(file: File) -> Part | Fault | None:
        take_id = _id(file)
        if file.is_media:
            # Sound anywhere else may be anything, unless there is motion for it.
            belongs = _is_in(file, AUDIO_FOLDERS) or name_form(take_id) in motion
        else:
            belongs = _is_in(file, MOTION_FOLDERS) or name_form(take_id) in media
        if not belongs:
            return None
        take = _take(tree, file, take_id)
        if isinstance(take, str):
            return Fault(file.path, take)
        if file.is_media:
            return Part(take, "audio", rank=0 if file.is_sound else 1)
        return Part(take, "motion")

    return describe


def _is_in(file: File, folders: frozenset[str]) -> bool:
    return any(folder.lower() in folders for folder in file.folders)


def _id(file: File) -> str:
    """Return the path without suffix and without the folders that tell sound from motion."""
    named = [folder for folder in file.folders if folder.lower() not in _FOLDERS]
    return "/".join((*named, file.stem))


def _media_ids(tree: Tree) -> set[str]:
    """Return the forms of the ids that have sound or video."""
    return {name_form(_id(file)) for file in tree.files if file.is_media}


def _motion_ids(tree: Tree) -> set[str]:
    """Return the forms of the ids that have what may be motion."""
    return {name_form(_id(file)) for file in tree.files if file.is_motion}


def _take(tree: Tree, file: File, take_id: str) -> Take | str:
    """Build a take from the folders below `audio`, `blendshape` or the corpus."""
    places = [i for i, folder in enumerate(file.folders) if folder.lower() in _FOLDERS]
    above = file.folders[: places[0]] if places else ()
    below = file.folders[places[-1] + 1 :] if places else file.folders
    if len(below) >= 2 and is_level(below[-1]):
        names = [name for name in below[:-2] if name.lower() not in VIEWS] or [*above]
        speaker = names[-1] if names else tree.name
        return mead_take(
            take_id, speaker=speaker, emotion=below[-2], level=below[-1], number=file.stem
        )
    speaker = below[0] if below else file.stem.partition("_")[0] or file.stem
    return Take(take_id, audio=None, motion=None, speaker=speaker)


LAYOUT = Layout(
    "generic",
    "audio/NAME.wav and blendshape/NAME.npy, .npz, .csv or .json, in equal subfolders; "
    "optional metadata.csv",
    recognises_generic,
    describe_generic,
    has_metadata=True,
)

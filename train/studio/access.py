"""Which files the page may read: those below the run's folder and below the chosen one."""

from __future__ import annotations

import os
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES

MOST_LISTED = 2000
HEAD_SUFFIXES = (".glb", ".gltf", ".vrm", ".npz")
_SOUNDS = frozenset((*SOUND_SUFFIXES, *VIDEO_SUFFIXES))


class Shelf:
    """A folder whose files may be read by their names in it, and no other file.

    A link that leads out of the folder is not followed.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder.

        Raises:
            InputError: If there is none.
        """
        if not folder.is_dir():
            raise InputError(f"`folder` must be a folder that is there, got {str(folder)!r}")
        self.folder = Path(os.path.realpath(folder))

    def path(self, name: str) -> Path:
        """Return the path of a file by its name in the folder, such as `voices/a.wav`.

        Raises:
            InputError: If it is no file of the folder; no message tells what lies outside.
        """
        try:
            found = Path(os.path.realpath(self.folder / name))
            inside = found.is_relative_to(self.folder) and found.is_file()
        except (OSError, ValueError):  # a name of a null byte, or too long
            inside = False
        if not inside or Path(name).is_absolute():
            raise InputError(f"the file must be one of the chosen folder, got {name!r:.200}")
        return found

    def sounds(self) -> list[str]:
        """Return the sound and video files by name, at most `MOST_LISTED`."""
        return self._listed(_SOUNDS)

    def heads(self) -> list[str]:
        """Return files that may be heads, by name."""
        return self._listed(frozenset(HEAD_SUFFIXES))

    def _listed(self, suffixes: frozenset[str]) -> list[str]:
        found: list[str] = []
        for place, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(place, name)
                if name.startswith(".") or path.suffix.lower() not in suffixes or path.is_symlink():
                    continue
                found.append(path.relative_to(self.folder).as_posix())
                if len(found) == MOST_LISTED:
                    return found
        return found

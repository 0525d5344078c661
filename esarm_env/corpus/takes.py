"""`Take`, a recording of a corpus folder before it is read; its names; `Fault`, what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from esarm_env.formats.spellings import name_form


@dataclass(frozen=True)
class Take:
    """Paths and labels of one recording, not yet read; a layout finds it, a corpus cuts it.

    Attributes:
        id: Unique in its corpus, stable when the folder moves: the relative path without suffix.
        audio: A sound file, or a video whose sound is used; None where it is missing.
        motion: A file of blendshape curves, or None where there is none.
        speaker: Name of the speaker.
        emotion: One of `EMOTIONS`.
        intensity: 1 to 3.
        text: The sentence, or None.
        sentence: What two takes share if they say the same; None where that is unknown.
        split: The official split (`train`, `validation`, `test`), or None.
        rate_hz: Frame rate of the motion as the user states it, whatever its file says; or None.
    """

    id: str
    audio: Path | None
    motion: Path | None
    speaker: str
    emotion: str = "neutral"
    intensity: int = 1
    text: str | None = None
    sentence: str | None = None
    split: str | None = None
    rate_hz: float | None = None


@dataclass(frozen=True)
class Fault:
    """A file or take that was left out or repaired, with the reason.

    Attributes:
        source: Id of a take, or path of a file or folder relative to the corpus.
        reason: Why, or what was mended.
    """

    source: str
    reason: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.source}: {self.reason}"


class TakeNames:
    r"""The names by which tables in a corpus folder may call its takes.

    That is the id, or the path of sound or motion from the corpus folder, with or without suffix,
    `/` or `\\` between folders. Where no name fits to the letter, one that looks the same does
    (Unicode form, case, outer spaces), unless two takes share it.
    """

    def __init__(self, folder: Path, takes: Sequence[Take]) -> None:
        ids = {take.id: take.id for take in takes}
        self._ids, self._id_forms = dict(ids), _by_form(ids)
        for take in takes:
            for path in (take.audio, take.motion):
                # Fitted motion and unpacked sound lie in the cache, where no table names them.
                if path is not None and path.is_relative_to(folder):
                    relative = path.relative_to(folder)
                    ids.setdefault(relative.as_posix(), take.id)
                    ids.setdefault(relative.with_suffix("").as_posix(), take.id)
                    ids.setdefault(take.id + path.suffix, take.id)
        self._names, self._forms = ids, _by_form(ids)

    def with_id(self, name: str) -> str | None:
        """Return the id that is `name` or looks the same, None if there is none."""
        return self._ids.get(name) or self._id_forms.get(name_form(name))

    def called(self, name: str) -> str | None:
        """Return the id of the take called `name`, None if there is none or more than one."""
        plain = name.replace("\\", "/").removeprefix("./")
        return self._names.get(plain) or self._forms.get(name_form(plain))


def _by_form(ids: dict[str, str]) -> dict[str, str | None]:
    """Return ids by what their names share with those that look the same; None for several."""
    forms: dict[str, str | None] = {}
    for name, take_id in ids.items():
        form = name_form(name)
        forms[form] = take_id if forms.get(form, take_id) == take_id else None
    return forms

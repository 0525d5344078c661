"""Pool of animations to judge, in a folder, under names that do not tell who wrote them.

`FOLDER/animations/DIGEST.npy` holds a motion, `FOLDER/pool.json` says of which utterance it is and
where it comes from, and `FOLDER/preferences.jsonl` gets the answers: the folder can be given away
as it is, see `reward.pairs.preference_file`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.cache import new_file, read_json, write_json
from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.corpus.motion.array_files import read_npy
from reward.pairs.preference_file import PREFERENCES_FILE, RatedAnimation, motion_digest

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray

POOL_FILE, ANIMATIONS_FOLDER = "pool.json", "animations"
_REMEDY = "make the pool again, in another folder"


@dataclass(frozen=True)
class NewAnimation:
    """An animation that is to be judged.

    Attributes:
        utterance: Id of its utterance.
        source: Who wrote it, for instance `clone, sampled 2`; raters never see it.
        motion: Shape (T, 52), at 30 fps.
    """

    utterance: str
    source: str
    motion: FloatArray


@dataclass(frozen=True)
class PooledAnimation:
    """An animation in a pool.

    Attributes:
        utterance: Id of its utterance.
        source: Who wrote it; of two that write the same motion, the first.
        sha256: Digest of its motion, see `motion_digest`.
    """

    utterance: str
    source: str
    sha256: str

    @property
    def name(self) -> str:
        """Path of its motion, relative to the pool's folder, which tells nothing of its source."""
        return f"{ANIMATIONS_FOLDER}/{self.sha256[:16]}.npy"

    def rated(self) -> RatedAnimation:
        """Return it as a line of `preferences.jsonl` names it."""
        return RatedAnimation(self.name, self.sha256)


@dataclass(frozen=True)
class Pool:
    """Animations to judge, two or more of each utterance.

    Attributes:
        folder: Where they are.
        animations: All of them; rows of whatever scores them.
    """

    folder: Path
    animations: tuple[PooledAnimation, ...]

    @property
    def preferences(self) -> Path:
        """The file of the answers."""
        return self.folder / PREFERENCES_FILE

    @cached_property
    def row_of(self) -> dict[tuple[str, str], int]:
        """Row of each animation by utterance and digest."""
        return {(each.utterance, each.sha256): row for row, each in enumerate(self.animations)}

    @cached_property
    def rows_of(self) -> dict[str, IntArray]:
        """Rows of each utterance's animations."""
        found: dict[str, list[int]] = {}
        for row, each in enumerate(self.animations):
            found.setdefault(each.utterance, []).append(row)
        return {name: np.array(rows, dtype=np.int64) for name, rows in found.items()}

    def motion(self, animation: PooledAnimation) -> FloatArray:
        """Return the motion of an animation, (T, 52).

        Raises:
            InputError: If its file is missing, damaged, or of another motion by now.
        """
        path = self.folder / animation.name
        values = read_npy(path).values
        if motion_digest(values) != animation.sha256:
            raise InputError(f"{path}: must hold the motion of the pool, got another; {_REMEDY}")
        return values


def write_pool(animations: Iterable[NewAnimation], folder: Path | str) -> Pool:
    """Write a pool; of equal motions of an utterance one is kept.

    Raises:
        InputError: If the folder holds another pool, a motion has another shape than (T, 52), or no
            utterance has two animations that differ.
    """
    place = Path(folder)
    pool = Pool(place, _of_several(_written(animations, place)))
    if (place / POOL_FILE).is_file() and open_pool(place).animations != pool.animations:
        raise InputError(f"{place}: must be a new folder, got one with another pool; {_REMEDY}")
    return _listed(pool)


def extend_pool(pool: Pool, animations: Iterable[NewAnimation]) -> Pool:
    """Return a pool with further animations behind its own, whose rows stay; the folder has it.

    Left out are equal motions of an utterance, and utterances that would have a single one.

    Raises:
        InputError: If a motion has another shape than (T, 52).
    """
    written = _written(animations, pool.folder)
    new = [each for each in written if (each.utterance, each.sha256) not in pool.row_of]
    several = _several((*pool.animations, *new))
    return _listed(Pool(pool.folder, several)) if len(several) > len(pool.animations) else pool


def open_pool(folder: Path | str) -> Pool:
    """Read a pool that `write_pool` wrote.

    Raises:
        InputError: If there is none, or `pool.json` is damaged.
    """
    place = Path(folder)
    found = read_json(place / POOL_FILE, "the list of a pool", remedy=_REMEDY)
    try:
        animations = tuple(
            PooledAnimation(str(each["utterance"]), str(each["source"]), str(each["sha256"]))
            for each in found["animations"]
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{place / POOL_FILE}: must list the animations of a pool, got {error!r}; {_REMEDY}"
        ) from error
    return Pool(place, animations)


def _written(animations: Iterable[NewAnimation], folder: Path) -> list[PooledAnimation]:
    """Write motions, and return them without those that are there twice."""
    kept: dict[tuple[str, str], PooledAnimation] = {}
    for each in animations:
        motion = np.ascontiguousarray(each.motion, dtype="<f4")
        if motion.ndim != 2 or motion.shape[1] != N_CHANNELS:
            raise InputError(
                f"{each.source} of {each.utterance!r}: must have shape (T, {N_CHANNELS}), "
                f"got {motion.shape}"
            )
        made = PooledAnimation(each.utterance, each.source, motion_digest(motion))
        if (made.utterance, made.sha256) not in kept:
            kept[made.utterance, made.sha256] = made
            _write_motion(motion, folder / made.name)
    return list(kept.values())


def _listed(pool: Pool) -> Pool:
    """Write the list of a pool, and return the pool."""
    write_json(pool.folder / POOL_FILE, {"animations": [asdict(each) for each in pool.animations]})
    return pool


def _write_motion(motion: FloatArray, path: Path) -> None:
    if path.is_file():  # the name is that of the content
        return
    buffer = io.BytesIO()
    np.save(buffer, motion, allow_pickle=False)
    with new_file(path) as draft:
        draft.write_bytes(buffer.getvalue())


def _of_several(animations: Iterable[PooledAnimation]) -> tuple[PooledAnimation, ...]:
    """Leave out utterances with a single animation.

    Raises:
        InputError: If nothing is left.
    """
    every = list(animations)
    kept = _several(every)
    if not kept:
        raise InputError(
            "`animations` must hold two different ones of some utterance, got "
            f"{len(every)} of {len({each.utterance for each in every})} utterances; add policies, "
            "decodings or samples"
        )
    return kept


def _several(animations: Sequence[PooledAnimation]) -> tuple[PooledAnimation, ...]:
    counts: dict[str, int] = {}
    for each in animations:
        counts[each.utterance] = counts.get(each.utterance, 0) + 1
    return tuple(each for each in animations if counts[each.utterance] > 1)

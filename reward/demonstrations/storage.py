"""Demonstrations on disk: one `.npz` file, no pickle, every token sequence once, in 16 bits."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from esarm_env.cache import new_file
from esarm_env.errors import InputError
from esarm_env.types import IntArray, Trajectories
from reward.demonstrations.making import Making
from reward.demonstrations.ranked import Demonstrations, padded

# 1, written without a number, had tokens and epsilon only.
FORMAT = 2
LARGEST_TOKEN = int(np.iinfo(np.int16).max)
_PREFIX = "making_"


def save_demonstrations(demonstrations: Demonstrations, path: Path) -> None:
    """Write everything to one `.npz` file.

    Raises:
        ValueError: If a token does not fit 16 bits.
    """
    parts = demonstrations.trajectories
    largest = parts.tokens.max(initial=0)
    if largest > LARGEST_TOKEN:
        raise ValueError(f"`tokens` must be at most {LARGEST_TOKEN}, got {largest}")
    width = max(parts.tokens.shape[1], demonstrations.partner.shape[1])
    both = np.concatenate([padded(parts.tokens, width), padded(demonstrations.partner, width)])
    table, place = np.unique(both.astype(np.int16), axis=0, return_inverse=True)
    place = place.reshape(-1).astype(np.int32)
    n = len(demonstrations)
    making = {_PREFIX + name: values for name, values in demonstrations.making.columns().items()}
    with new_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            format=np.array(FORMAT),
            table=table,
            tokens_at=place[:n],
            partner_at=place[n:],
            utterance=parts.utterance,
            lengths=parts.lengths,
            condition=parts.condition,
            epsilon=demonstrations.epsilon,
            **making,
        )


def load_demonstrations(path: Path) -> Demonstrations:
    """Read what `Demonstrations.save` wrote, now or before it knew of corruptions.

    Raises:
        InputError: If the file is missing, damaged, of a newer version, or something else.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            version = int(file["format"]) if "format" in file else 1
            if version > FORMAT:
                raise InputError(
                    f"{path}: must be a demonstrations file of format {FORMAT} or older, "
                    f"got {version}; install the newer ESARM that wrote it"
                )
            return _read_first(file) if version == 1 else _read(file)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: must be a whole demonstrations file, got {error}; "
            "delete the stage and run it again"
        ) from error


def _read_first(file: Mapping[str, np.ndarray]) -> Demonstrations:
    return Demonstrations(_trajectories(file, file["tokens"].astype(np.int64)), file["epsilon"])


def _read(file: Mapping[str, np.ndarray]) -> Demonstrations:
    table = file["table"].astype(np.int64)
    making = {name.removeprefix(_PREFIX): file[name] for name in file if name.startswith(_PREFIX)}
    return Demonstrations(
        _trajectories(file, _trimmed(table[file["tokens_at"]], 1)),
        file["epsilon"],
        making=Making(**making),
        partner=_trimmed(table[file["partner_at"]], 0),
    )


def _trajectories(file: Mapping[str, np.ndarray], tokens: IntArray) -> Trajectories:
    return Trajectories(file["utterance"], tokens, file["lengths"], file["condition"])


def _trimmed(tokens: IntArray, least: int) -> IntArray:
    """Return `tokens` (N, L) without columns at the end that hold -1 alone."""
    used = np.flatnonzero((tokens >= 0).any(axis=0))
    return tokens[:, : max(least, used[-1] + 1 if len(used) else 0)]

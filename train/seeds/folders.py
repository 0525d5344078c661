"""Folders of further seeds: run folders of their own below the run, which is the first seed.

`RUN/seeds/1/` and its like have the run's configuration but for `seed`, so every command works in
them, and what is finished there is not done again. The corpus has a seed of its own: all of them
learn and are tested on the same utterances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import seed_folder
from train.run.run_folder import RunFolder


def seeds_of(given: Sequence[int], *, first: int) -> tuple[int, ...]:
    """Return the seeds that a user asked for, the run's own first.

    Args:
        given: Nothing: the run's own alone. One number: how many, counted from the run's own. More:
            the seeds themselves.
        first: The run's own.

    Raises:
        InputError: If a seed is there twice, below 0, or the run's own is not there.
    """
    if not given:
        return (first,)
    if len(given) == 1:
        if given[0] < 1:
            raise InputError(f"`seeds` must be at least 1, got {given[0]}")
        return tuple(range(first, first + given[0]))
    if len(set(given)) < len(given) or min(given) < 0:
        raise InputError(
            "`seeds` must be different numbers of at least 0, since a seed that repeats is no "
            f"further evidence, got {list(given)}"
        )
    if first not in given:
        raise InputError(
            f"`seeds` must hold the run's own, {first}, got {list(given)}; begin the run with "
            f"`--set seed={given[0]}`, or add {first}"
        )
    return (first, *(seed for seed in given if seed != first))


def open_seeds(run: RunFolder, seeds: Sequence[int]) -> list[RunFolder]:
    """Return the run folders of all `seeds`, the run itself first; those missing are begun.

    Raises:
        InputError: If one of them was begun with other settings.
    """
    runs = [run]
    for seed in seeds[1:]:
        config = dataclasses.replace(run.config, seed=seed)
        other = RunFolder.create(seed_folder(run.path, seed), config)
        other.may_fetch = run.may_fetch
        runs.append(other)
    return runs


def check_seeds(runs: Sequence[RunFolder]) -> None:
    """Refuse runs that are not several seeds of one configuration.

    Raises:
        InputError: If there are fewer than two, a seed repeats, or other settings differ.
    """
    if len(runs) < 2:
        raise InputError(f"a report over seeds needs at least 2 runs, got {len(runs)}")
    seeds = [run.config.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise InputError(
            "`seed` must be another in every run of a report over seeds, got "
            f"{', '.join(f'{run.path.name}: {run.config.seed}' for run in runs)}"
        )
    first = runs[0]
    for other in runs[1:]:
        if dataclasses.replace(other.config, seed=first.config.seed) != first.config:
            raise InputError(
                f"{other.path}: must have the settings of {first.path} but for `seed`, got others"
            )

"""`esarm ablate`: variants of a finished run, trained only from the stage that they change.

`OUT/NAME/seed-K/` is a run folder with copies of the stages before the change, and the figures of
the variant; where nothing has to be trained it holds figures alone. A cell that fails costs no
other one.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import file_digest
from esarm_env.core.errors import InputError, one_line
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CONFIG_FILE,
    POLICY_FILE,
    STAGES,
    is_finished,
    seed_folder,
)
from train.rounds.folders import copy_stage
from train.rows import TOKENIZER
from train.run.config import to_dict
from train.run.kept_settings import keep_settings
from train.run.run_folder import RunFolder, differences
from train.run.setting_ranges import check_settings
from train.run.stage_work import n_threads
from train.seeds.folders import seeds_of
from train.tables.ablation.measures import Cell, measure_variant, read_cell, write_cell
from train.tables.ablation.variants import (
    CLONE,
    THE_RUN,
    UNCHANGED,
    Variant,
    changes,
    config_of,
    first_changed,
    policy_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_UP_TO_IMPROVE = STAGES[: STAGES.index("improve") + 1]
_LAST = {TOKENIZER: "prior", CLONE: "clone"}  # stages that policies need; all others `improve`


@dataclass
class Ablation:
    """All that is known of the variants of a run.

    Attributes:
        bases: The unchanged run by seed.
        variants: In the order of the table, without the unchanged run.
        cells: By variant's name, by seed; of the unchanged run under `unchanged`.
        failures: By variant's name, by seed: what went wrong.
        apart: Settings beside `seed` in which the unchanged runs differ.
        utterances: So many test utterances were measured on; 0 means all.
    """

    bases: dict[int, RunFolder]
    variants: list[Variant]
    cells: dict[str, dict[int, Cell]] = field(default_factory=dict)
    failures: dict[str, dict[int, str]] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    utterances: int = 0


def ablate(
    paths: Sequence[Path],
    variants: Sequence[Variant],
    folder: Path,
    *,
    seeds: Sequence[int] = (),
    utterances: int = 0,
    tell: Callable[[str], None] = print,
) -> Ablation:
    """Train and measure every variant under every seed, as far as `folder` does not hold it.

    Args:
        paths: Runs finished up to `improve`: of one corpus, each of another seed.
        variants: What is changed.
        folder: Holds all that is trained and measured.
        seeds: As of `esarm run`; by default those of the runs. One without a run is looked for in
            `RUN/seeds/` and trained otherwise.
        utterances: So many test utterances, evenly spaced; 0 means all.
        tell: Gets a line for every cell.

    Raises:
        InputError: If a run is not finished, they do not belong together, or `folder` holds the
            variants of another run.
    """
    if utterances < 0:
        raise InputError(f"`utterances` must be at least 0, got {utterances}")
    runs = _open(paths)
    first = next(iter(runs.values()))
    wanted = seeds_of(seeds, first=first.config.seed) if seeds else tuple(runs)
    keep_settings(
        folder,
        {"corpus": first.summary("corpus").get("content_hash"), "utterances": utterances},
        what="variants",
        remedy="choose another --out",
    )
    made = Ablation({}, list(variants), utterances=utterances)
    for seed in wanted:
        _seed(made, first, runs.get(seed), folder, seed=seed, tell=tell)
    if not made.bases:
        raise InputError(
            f"the unchanged run must be there under some seed, got: "
            f"{'; '.join(made.failures[UNCHANGED].values())}"
        )
    configs = [to_dict(base.config) for base in made.bases.values()]
    apart = {key for config in configs[1:] for key in differences(configs[0], config)}
    made.apart = tuple(sorted(apart - {"seed"}))
    return made


def _open(paths: Sequence[Path]) -> dict[int, RunFolder]:
    """Return the runs by seed.

    Raises:
        InputError: If there is none, one is not finished, a seed repeats, or corpora differ.
    """
    if not paths:
        raise InputError("`run` must be at least 1 finished run, got none")
    runs: dict[int, RunFolder] = {}
    for path in paths:
        run = RunFolder.open(path)
        for stage in _UP_TO_IMPROVE:
            run.stage(stage)
        if run.config.seed in runs:
            raise InputError(
                f"`run` must be runs of different seeds, got {run.config.seed} for "
                f"{runs[run.config.seed].path} and {path}"
            )
        runs[run.config.seed] = run
    hashes = {run.summary("corpus").get("content_hash") for run in runs.values()}
    if len(hashes) > 1:
        raise InputError(f"`run` must be runs of one corpus, got {len(hashes)} corpora")
    return runs


def _seed(
    made: Ablation,
    first: RunFolder,
    given: RunFolder | None,
    folder: Path,
    *,
    seed: int,
    tell: Callable[[str], None],
) -> None:
    """Do all variants under one seed."""
    base = _attempt(
        made, UNCHANGED, seed, lambda: given or _base(first, folder, seed=seed), tell=tell
    )
    if base is None:
        return
    keep_settings(
        _place(folder, UNCHANGED, seed),
        {"clone": file_digest(base.path / CLONE_FILE)},
        what="variants",
        remedy="choose another --out",
    )
    for variant in (THE_RUN, *made.variants):
        if variant.missing:
            continue
        found = _attempt(
            made,
            variant.name,
            seed,
            functools.partial(_cell, variant, base, folder, utterances=made.utterances),
            tell=tell,
        )
        if found is not None:
            made.cells.setdefault(variant.name, {})[seed] = found
            what = ", ".join(found.trained) or "nothing"
            tell(f"{variant.name}, seed {seed}: trained {what}, {found.hours:.3f} hours")
        elif variant is THE_RUN:
            return
    made.bases[seed] = base


def _attempt(
    made: Ablation, name: str, seed: int, work: Callable[[], Any], *, tell: Callable[[str], None]
) -> Any:
    """Return what `work` gives; where it fails, note why and return None: the rest goes on."""
    try:
        return work()
    except Exception as error:  # whatever one variant breaks, the others are not worth less
        said = one_line(error) if isinstance(error, InputError) else repr(error)[:300]
        made.failures.setdefault(name, {})[seed] = said
        tell(f"{name}, seed {seed}: failed: {said}")
        return None


def _base(first: RunFolder, folder: Path, *, seed: int) -> RunFolder:
    """Return the unchanged run of another seed: the one below the run, or one that is trained."""
    path = seed_folder(first.path, seed)
    if is_finished(path, "improve"):
        return RunFolder.open(path)
    config = dataclasses.replace(first.config, seed=seed)
    run = RunFolder.create(_place(folder, UNCHANGED, seed), config)
    _work(run, first, stages=_UP_TO_IMPROVE[1:])
    return run


def _cell(variant: Variant, base: RunFolder, folder: Path, *, utterances: int) -> Cell:
    """Return what a variant is worth, measured and before that trained if it is not there.

    Raises:
        InputError: If the run cannot be changed so, or the folder holds another variant.
    """
    place = _place(folder, variant.name, base.config.seed)
    changed = changes(variant, base.path / CONFIG_FILE, base.config)
    policy = policy_of(variant, base.config)
    recipe = {
        "settings": list(variant.settings),
        "policy": policy,
        "decoding": variant.decoding,
        "best_of": variant.best_of,
    }
    found = read_cell(place)
    if found is not None:
        if found.recipe != recipe:
            raise InputError(
                f"{place}: must hold the variant {recipe}, got {found.recipe}; delete it"
            )
        return found
    run, trained = base, list[str]()
    if changed or not _has_policy(base, policy):
        run = RunFolder.create(place, config_of(variant, base.path / CONFIG_FILE, base.config))
        begin = STAGES.index(first_changed(changed) or "improve")
        trained = list(STAGES[begin : STAGES.index(_LAST.get(policy, "improve")) + 1])
        _work(run, base, stages=trained)
    since = time.monotonic()
    measure_variant(variant, policy, run, place, utterances=utterances)
    # The unchanged run's stages were worked before, and are told of all the same.
    worked = trained or (_UP_TO_IMPROVE if variant is THE_RUN else [])
    worked_s = sum(float(run.summary(stage)["wall_s"]) for stage in worked)
    hours = (worked_s + time.monotonic() - since) / 3600
    write_cell(
        place,
        {"trained": trained, "hours": round(hours, 4), "threads": n_threads(), "recipe": recipe},
    )
    cell = read_cell(place)
    assert cell is not None, "it was just written"
    return cell


def _has_policy(base: RunFolder, policy: str) -> bool:
    return policy in (CLONE, TOKENIZER) or (base.path / "improve" / policy / POLICY_FILE).is_file()


def _work(run: RunFolder, base: RunFolder, *, stages: Sequence[str]) -> None:
    """Work `stages` in `run`, with those before them from `base`."""
    from train.stages import STAGE_FUNCTIONS  # all that stages need, which reading a table does not

    check_settings(run.config, stages)
    for stage in STAGES[: STAGES.index(stages[0])]:
        copy_stage(base, run.path, stage)
    for stage in stages:
        STAGE_FUNCTIONS[stage](run)


def _place(folder: Path, name: str, seed: int) -> Path:
    return folder / name / f"seed-{seed}"

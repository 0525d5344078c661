"""`esarm tune`: a sweep over settings of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from esarm_env.core.errors import InputError
from train.commands.options import check_json_target, write_json


def command_tune(
    *,
    run: Path,
    stage: Literal["clone", "reward", "improve"] = "improve",
    name: Annotated[str | None, tyro.conf.arg(name="as")] = None,
    space: tuple[str, ...] = (),
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    trials: int = 20,
    metric: Literal["true-error", "score"] = "true-error",
    prune: bool = True,
    parallel: int | None = None,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Search for better settings of a stage, on the earlier stages of a finished run.

    Optuna proposes settings, each trial trains the stage with them, and ASHA ends early those that
    are behind (Ray Tune; extra `tune`). Writes tune.md, trials.csv, plots and best.yaml, which
    `esarm run --config` takes, into RUN/tune/NAME. All figures are of validation utterances: what
    is best there must be confirmed on test utterances. Interrupt it at any time; the same command
    goes on where it stopped, and more `--trials` add to those that are done.

    Args:
        run: Folder of a run that is finished up to the stage: `clone` is compared with its clone,
            `improve` needs its reward model, `reward` its demonstrations.
        stage: Stage whose settings are tried.
        name: Name of the sweep. [default: that of the stage]
        space: Settings to try, such as `kl_coef`; or one YAML file with ranges and values of one's
            own. [default: the usual ones of the stage]
        set: A setting of all trials, such as `improve.algorithms=[reinforce]`; give the option
            again for each further one.
        trials: Number of trials, those that are done included.
        metric: What is sought: the least `true-error` (of a reward model, animations in the order
            of their true error), or the best `score`, which needs no recorded motion.
        prune: Whether trials that are behind are ended early.
        parallel: Most trials at a time, 0 or 1 one after the other. [default: as many as there are
            processors for their threads]
        json: Also write the figures to this file.
        threads: CPU threads of torch of each trial; 0 is 1.
    """
    from train.run.run_folder import RunFolder

    check_json_target(json)
    if threads < 0:
        raise InputError(f"`threads` must be at least 0, got {threads}")
    opened = RunFolder.open(run)
    from train.tuning.page import PAGE_FILE, plain_page  # torch
    from train.tuning.sweep import Wanted, result_of, sweep

    wanted = Wanted(
        stage=stage,
        name=name or stage,
        space=space,
        fixed=set,
        metric=metric,
        trials=trials,
        prune=prune,
        parallel=parallel,
        threads=threads,
    )
    made = sweep(opened, wanted, say=_say)
    print(plain_page(made))
    print(f"report: {made.folder / PAGE_FILE}")
    write_json(result_of(made), json)


def _say(line: str) -> None:
    print(line, flush=True)

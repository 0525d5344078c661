"""`esarm reward-report`: does the reward model know better faces from good ones?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from esarm_env.errors import InputError
from train.commands.options import use_threads, write_json


def command_reward_report(
    run: Annotated[Path, tyro.conf.Positional] = Path("runs/demo"),
    /,
    *,
    quick: bool = False,
    utterances: int = 0,
    samples: int = 16,
    train_ceiling: bool = False,
    ceiling: Path | None = None,
    paper: Path | None = None,
    output: Path | None = None,
    threads: int = 0,
    json: Path | None = None,
) -> None:
    """Hold a run's reward model against the true errors, on utterances that it never saw.

    Writes report.md, pictures and figures.json: pair accuracy, rank correlations within an
    utterance, best-of-n, calibration, extrapolation, hacking probes and ensemble agreement, each
    with intervals and beside LVE and EVE. Minutes at the demo size.

    Args:
        run: Folder of a run that has the stages up to `reward`.
        quick: A first look: 24 utterances and two strengths of damage, with wide intervals.
        utterances: Test utterances, evenly spaced; 0 means all.
        samples: Samples of the clone per utterance, the top band.
        train_ceiling: First train the ceiling, reward/ceiling.safetensors in the run, unless it is
            there; takes as long as the stage `reward`.
        ceiling: Weights of a model trained on true errors, which estimates what any could know; by
            default the run's reward/ceiling.safetensors, if there is one.
        paper: A run or weights of the paper's plain recipe, to stand beside; by default the run's
            reward/paper.safetensors, if there is one.
        output: Folder to write; by default reward_report in the run.
        threads: CPU threads of torch; 0 leaves the choice to torch.
        json: Also write the figures to this file.
    """
    from train.reward_report.collecting import collect_findings
    from train.reward_report.settings import ReportSettings
    from train.reward_report.verdicts import verdicts
    from train.reward_report.writing import FOLDER, figures_of, write_reward_report
    from train.run_folder import RunFolder

    if threads < 0:
        raise InputError(f"`threads` must be at least 0, got {threads}")
    use_threads(threads)
    settings = ReportSettings(utterances=utterances, samples=samples)
    opened = RunFolder.open(run)
    if train_ceiling:
        from train.reward_report import ceiling as ceilings

        ceilings.train_ceiling(opened)
    found = collect_findings(
        opened, settings.quick() if quick else settings, ceiling=ceiling, paper=paper
    )
    report = write_reward_report(found, output or opened.path / FOLDER)
    for line in verdicts(found):
        print(f"{line.verdict}: {line.asked}: {line.measured}")
    print(f"report: {report}")
    write_json(figures_of(found), json)

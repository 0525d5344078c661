"""`esarm reward-report` and `esarm overoptimise`: what a reward knows, and where it misleads."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from esarm_env.core.errors import InputError
from train.commands.options import (
    check_folder_target,
    check_json_target,
    settle_corpus,
    use_threads,
    write_json,
)

if TYPE_CHECKING:
    from train.overoptimise.curve import OveroptimiseConfig


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
    corpus: str | None = None,
    threads: int = 0,
    bars: bool = False,
    json: Path | None = None,
) -> None:
    """Compare a run's reward model with true errors.

    On held-out test utterances. Writes report.md, pictures and figures.json: pair accuracy, rank
    correlations within an utterance, best-of-n, calibration, extrapolation, hacking probes and
    ensemble agreement, each with intervals and beside LVE and EVE.

    Args:
        run: Folder of a run that has the stages up to `reward`.
        quick: Take a first look: 24 utterances and two strengths of damage, with wide intervals.
        utterances: Number of test utterances, evenly spaced; 0 means all.
        samples: Number of animations that are sampled from the clone for each utterance.
        train_ceiling: First train an upper bound: the same network with ground truth (true errors)
            as its target. It is kept as reward/ceiling.safetensors in the run, and takes as long as
            the stage `reward`.
        ceiling: Weights of such an upper bound; by default the run's reward/ceiling.safetensors, if
            there is one.
        paper: A run or weights of the paper's plain recipe, for comparison; by default the run's
            reward/paper.safetensors, if there is one.
        output: Folder to write; by default reward_report in the run.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        threads: CPU threads of torch; 0 leaves the choice to torch.
        bars: For developers: end with our own criteria of a reward model, and which it meets.
        json: Also write the figures to this file.
    """
    from esarm_env.core.run_layout import REWARD_REPORT_FOLDER
    from train.reward_report.animations import ReportSettings
    from train.reward_report.answers import answers
    from train.reward_report.figures import collect_findings
    from train.reward_report.verdicts import verdicts
    from train.reward_report.writer import figures_of, write_reward_report
    from train.run.lock import locked
    from train.run.run_folder import RunFolder

    if threads < 0:
        raise InputError(f"`threads` must be at least 0, got {threads}")
    check_json_target(json)
    check_folder_target(output)
    use_threads(threads)
    settings = ReportSettings(utterances=utterances, samples=samples)
    opened = RunFolder.open(run)
    settle_corpus(run, corpus)
    # Written beside the run, a report only reads it.
    writes = output is None or train_ceiling
    with locked(opened.path) if writes else contextlib.nullcontext():
        if train_ceiling:
            from train.reward_report import scorers as ceilings

            ceilings.train_ceiling(opened)
        found = collect_findings(
            opened, settings.quick() if quick else settings, ceiling=ceiling, paper=paper
        )
        folder = output or opened.path / REWARD_REPORT_FOLDER
        report = write_reward_report(found, folder, bars=bars)
    for said in answers(found):
        print(said.replace("**", ""))
    for line in verdicts(found) if bars else ():
        print(f"{line.criterion}: {line.measured} (met: {line.met})")
    print(f"report: {report}")
    write_json(figures_of(found), json)


def command_overoptimise(
    run: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    reward: str | None = None,
    kl_coefs: str | None = None,
    seeds: str | None = None,
    iterations: int | None = None,
    measure_every: int | None = None,
    utterances: int | None = None,
    samples: int | None = None,
    best_of: int | None = None,
    quick: bool = False,
    corpus: str | None = None,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Reward over-optimisation: curves of score and true error.

    PPO and best-of-n maximise the run's reward. The curves show score, LVE and EVE on held-out test
    utterances over the divergence from the clone (Gao et al. 2022):
    `RUN/overoptimise/overoptimise.md`, `.csv`, `.json` and `.png`. Interrupt it at any time; the
    same command goes on where it stopped, and another weight or seed adds curves.

    Args:
        run: A run folder with clone and reward model.
        reward: Name of the reward to maximise (see `esarm plugins`). [default: the run's
            `improve.reward`]
        kl_coefs: Weights of the KL penalty, with commas; each gives a curve. [default:
            0,0.03,0.1,0.3]
        seeds: Seeds of training, with commas; each gives a curve for every weight. [default: 0]
        iterations: Number of PPO iterations in each curve, a multiple of `--measure-every`.
            [default: 60]
        measure_every: Iterations between two measurements. [default: 10]
        utterances: Number of test utterances to measure on; 0 means all. [default: 32]
        samples: Number of sampled animations per utterance and measurement. [default: 4]
        best_of: Largest n of best-of-n. [default: 64]
        quick: Two weights, six iterations, eight utterances: to see that it works.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.overoptimise.curve import QUICK, OveroptimiseConfig
    from train.overoptimise.measurement import measure_all
    from train.overoptimise.report import write_results
    from train.run.lock import locked
    from train.run.run_folder import RunFolder
    from train.run.settings.reward_setting import reward_text

    check_json_target(json)
    use_threads(threads)
    given: dict[str, Any] = {
        "kl_coefs": None if kl_coefs is None else _numbers(kl_coefs, float, name="kl_coefs"),
        "seeds": None if seeds is None else _numbers(seeds, int, name="seeds"),
        "iterations": iterations,
        "measure_every": measure_every,
        "utterances": utterances,
        "samples": samples,
        "best_of": best_of,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    config: OveroptimiseConfig = dataclasses.replace(
        QUICK if quick else OveroptimiseConfig(), **chosen
    )
    folder = RunFolder.open(run)
    settle_corpus(run, corpus)
    proxy = reward or folder.config.improve.reward
    measured = measure_all(folder, config, reward=proxy)
    with locked(folder.path):
        page, figures = write_results(folder, measured, config, reward=reward_text(proxy))
    for kl_coef, found in figures["ppo"].items():
        print(f"KL {kl_coef}: {found['verdict']}")
    print(f"best of n: {figures['best_of_n']['verdict']}")
    print(f"report: {page}")
    write_json(figures, json)


def _numbers(text: str, kind: type, *, name: str) -> tuple[float, ...]:
    """Return numbers that stand between commas."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"`{name}` must be {what} between commas, got {text!r}") from error

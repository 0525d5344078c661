"""`esarm improve --from` and `--speech`, and `esarm compare`: on the clone of a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from esarm_env.core.errors import InputError
from train.commands.options import (
    RunOptions,
    TrainingOptions,
    check_json_target,
    settle_corpus,
    use_threads,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.speech.settings import SpeechSettings

Shown = Literal["usual", "greedy", "expected-distance", "sampled", "all"]


def run_experiment(
    options: TrainingOptions,
    base: Path,
    name: str | None,
    *,
    reward: str | None,
    algorithms: Sequence[str],
    preferences: Sequence[Path] = (),
) -> None:
    """Train and measure an experiment on the clone of a finished run, and print how it compares.

    Raises:
        InputError: If an option does not go with one, the run is not finished up to `reward`, or
            the name is missing or another experiment's.
    """
    from train.run.lock import locked
    from train.run.loggers import check_logger, logging_to
    from train.run.run_folder import RunFolder

    check_json_target(options.json)
    use_threads(options.threads)
    usual = RunOptions()
    for setting in ("run", "preset", "config"):
        value = getattr(options, setting)
        if value != getattr(usual, setting):
            raise InputError(
                f"`{setting}` must be left out beside `from`, whose settings an experiment keeps, "
                f"got {value}"
            )
    if name is None:
        raise InputError(
            "`as` must name the experiment beside `from`, got nothing; for instance --as lve-only"
        )
    check_logger(options.logger)
    run = RunFolder.open(base)
    from train.experiments.folders import begin_experiment, preference_settings

    settings = settings_of(options.set, reward, algorithms) + preference_settings(preferences)
    experiment = begin_experiment(run, name, settings)
    from train.experiments.comparison import compare_run  # torch
    from train.experiments.measuring import measure_experiment
    from train.experiments.page import plain_page, write_pages
    from train.preferences.section import raters_line
    from train.stages.improve import run_improve

    logger = None if experiment.is_finished("improve") else options.logger
    with locked(experiment.path), logging_to(logger, experiment):
        run_improve(experiment)
        measure_experiment(experiment, run)
    compared = compare_run(run, [name])
    if told := raters_line(experiment):
        print(told)
    print(plain_page(compared))
    print(f"experiment: {experiment.path}")
    print(f"report: {write_pages(compare_run(run))}")
    write_json(compared.to_dict(), options.json)


def compare_policies(options: RunOptions, policy: Path) -> None:
    """Measure a policy file on the test utterances of a run, and print it beside the run's own."""
    from train.experiments.comparison import compare_run
    from train.experiments.page import plain_page

    run = options.open_existing()
    compared = compare_run(run, (), files=[policy])
    print(plain_page(compared))
    write_json(compared.to_dict(), options.json)


def run_speech(
    options: TrainingOptions,
    speech: Path,
    *,
    test: Path | None,
    name: str | None,
    settings: SpeechSettings,
) -> None:
    """Let a policy of a run learn from speech, print how it compares, and write that as JSON."""
    from esarm_env.core.run_layout import POLICY_FILE, SPEECH_REPORT
    from train.run.loggers import logging_to
    from train.speech.stage import improve_on_speech

    run = options.open_existing()
    with logging_to(options.logger, run):
        folder, summary = improve_on_speech(run, speech, settings=settings, test=test, name=name)
    print((folder / SPEECH_REPORT).read_text(encoding="utf-8"))
    print(f"policy: {folder / POLICY_FILE}")
    write_json(summary, options.json)


def settings_of(
    given: Sequence[str], reward: str | None, algorithms: Sequence[str]
) -> tuple[str, ...]:
    """Return `--set` settings with those of `--reward` and `--algorithm`."""
    more = []
    if reward is not None:
        # A mapping of weights as it is, a name as text, whatever letters it has.
        weights = reward.lstrip().startswith("{")
        more.append(f"improve.reward={reward if weights else json.dumps(reward)}")
    if algorithms:
        more.append(f"improve.algorithms={json.dumps(list(algorithms))}")
    return (*given, *more)


def command_compare(
    run: Annotated[Path, tyro.conf.Positional],
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    against: str = "clone",
    decoding: Shown = "usual",
    policy: tuple[Path, ...] = (),
    corpus: str | None = None,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Compare a run's policies and its experiments side by side.

    True errors on test utterances, learned score and the climbed reward, paired differences
    with intervals, divergence from the clone and wall time; also RUN/experiments/compare.md, .csv
    (every figure, every decoding) and .png (the curves of training).

    Args:
        run: Folder of an evaluated run.
        names: Experiments of `esarm improve --from`; all by default.
        against: What differences are taken from: `clone` or another policy, decoded the same
            way, or one row for all, such as `regressor` or `clone, expected distance`.
        decoding: Rows to print; `usual` are those of `esarm animate` (by expected distance where a
            policy knows distances, else greedy) and sampled ones.
        policy: Policy files of other runs or programs, measured as well.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        json: Also write all figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.run.run_folder import RunFolder

    check_json_target(json)
    opened = RunFolder.open(run)
    from train.experiments.comparison import compare_run  # torch
    from train.experiments.page import plain_page, write_pages

    use_threads(threads)
    settle_corpus(run, corpus)
    compared = compare_run(opened, names or None, against=against, files=policy)
    print(plain_page(compared, decoding=decoding))
    print(f"report: {write_pages(compared)}")
    write_json(compared.to_dict(), json)

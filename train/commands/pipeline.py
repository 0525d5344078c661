"""`esarm run` and its stages."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from esarm_env.core.errors import InputError
from train.commands.experiments import compare_policies, run_experiment, run_speech
from train.commands.options import (
    Options,
    OptionsOfStage,
    OptionsOfTraining,
    RunOptions,
    TrainingOptions,
    place_setting,
    write_json,
)
from train.speech.settings import SpeechSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.run.loggers import LoggerName
    from train.run.run_folder import RunFolder
    from train.seeds.training import Plan

Recipe = Literal["consensus", "paper"]
_USUAL_SPEECH = SpeechSettings()


def command_run(
    *,
    options: Options,
    corpus: str | None = None,
    recipe: Recipe | None = None,
    rounds: int = 1,
    seeds: tuple[int, ...] = (),
    parallel: int | None = None,
    workers: int = 0,
    logger: Literal["tensorboard", "wandb", "none"] | None = None,
) -> None:
    """Run the whole pipeline, from corpus to report.

    Finished stages are skipped. Interrupt it at any time; the same command goes on where it
    stopped.

    Args:
        options: Which run, and with which settings.
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder of recordings (MEAD, RAVDESS,
            3D-ETF, BEAT, Live Link Face, or `audio/` and `blendshape/` with equal names). For a
            run whose recordings have moved: where they are now.
        recipe: How the reward model is trained: `consensus` (an animation is scored by its expected
            distance from the clone's other samples) or `paper` (animations are ranked by their
            noise level). [default: consensus]
        rounds: Number of rounds. In each round after the first, the improved policy makes new
            demonstrations, the reward model is trained on with them, and the policy is improved
            again.
        seeds: Number of training seeds, counted from the run's own (`--seeds 3`), or which ones
            (`--seeds 0 1 5`). Each further seed is a run in RUN/seeds; one report covers all.
            [default: the run's own]
        parallel: Most seeds to train at a time, on Ray (extra `ray`); 0 or 1 trains one after the
            other. Figures are the same: each seed has `--threads` threads, or without that option
            its share of the processors. [default: what the processors allow, if Ray is there]
        workers: Processes (extra `ray`) that share out what maps over utterances: audio features,
            demonstrations, roll-outs of `improve` (unless `improve.workers` says how many) and
            evaluation; 0 works in this one. Results do not depend on it.
        logger: Where training figures go, beside each stage's metrics.csv: `tensorboard` (event
            files in the stages' folders), `wandb` (Weights & Biases, as they come; project
            WANDB_PROJECT or esarm), or `none`. [default: tensorboard where it is installed]
    """
    from esarm_env.core.run_layout import STAGES
    from esarm_env.core.workers.pool import check_workers
    from train.parallel.stage_pool import working_with
    from train.rounds.folders import check_rounds
    from train.run.lock import locked
    from train.run.loggers import check_logger, logging_to
    from train.run.setting_ranges import check_settings
    from train.seeds.folders import seeds_of
    from train.seeds.training import plan_for

    # Before a folder is made for what is refused.
    check_logger(logger)
    check_workers(workers)
    plan = plan_for(
        len(seeds_of(seeds, first=seeds[0] if seeds else 0)),
        rounds=rounds,
        parallel=parallel,
        workers=workers,
        threads=options.threads,
    )
    run = options.open(*place_setting(options, corpus), *recipe_setting(recipe))
    # Here and not stage by stage: the last one's settings count before the first one's minutes.
    check_settings(run.config, [stage for stage in STAGES if not run.is_finished(stage)])
    check_rounds(run, rounds)
    from train.report import write_report  # torch, as the stages
    from train.rounds.rounds import run_rounds
    from train.stages import STAGE_FUNCTIONS

    if plan is not None:
        wanted = seeds_of(seeds, first=run.config.seed)
        with working_with(workers):
            _run_seeds(options, run, wanted, plan=plan, logger=logger)
        return
    print(f"run: {run.path}, {run.config.corpus.in_words}, seed {run.config.seed}", flush=True)
    if rounds == 1:
        say_expected_time(run, STAGES)
    with locked(run.path), logging_to(logger, run), working_with(workers):
        summaries: dict[str, Any] = {stage: STAGE_FUNCTIONS[stage](run) for stage in STAGES}
        if rounds > 1:
            summaries["rounds"] = run_rounds(run, rounds)
        report = write_report(run)
    _print_results(summaries["evaluate"])
    print(f"report: {report}")
    write_json(summaries, options.json)


def _run_seeds(
    options: RunOptions,
    run: RunFolder,
    seeds: tuple[int, ...],
    *,
    plan: Plan,
    logger: LoggerName | None,
) -> None:
    """Run every stage under all seeds, and write the report over those that finished.

    Raises:
        InputError: If a seed failed, when all others are done.
    """
    from esarm_env.core.run_layout import REPORT_FILE, SEEDS_FOLDER, STAGES
    from train.commands.options import use_threads
    from train.run.lock import locked
    from train.run.loggers import logging_to
    from train.seeds.folders import open_seeds
    from train.seeds.report import write_seeds_report
    from train.seeds.training import told, train_seeds
    from train.stages import STAGE_FUNCTIONS

    print(f"{len(seeds)} seeds, {plan}", flush=True)
    use_threads(plan.threads)
    # Below the run, as each seed's own lock belongs to the process that is at work in it.
    with locked(run.path / SEEDS_FOLDER):
        with locked(run.path), logging_to(logger, run):
            STAGE_FUNCTIONS[STAGES[0]](run)  # the corpus is one for all
            runs = open_seeds(run, seeds)
            failed = train_seeds(runs, plan) if plan.at_a_time == 1 else {}
        if plan.at_a_time > 1:
            failed = train_seeds(runs, plan, logger=logger)
        finished = [each for each in runs if each.config.seed not in failed]
        summaries: dict[str, Any] = {"failed": {str(k): text for k, text in failed.items()}}
        if run in finished:
            summaries |= {stage: run.summary(stage) for stage in STAGES}
            _print_results(summaries["evaluate"])
            print(f"report: {run.path / REPORT_FILE}")
            if len(finished) > 1:
                page = write_seeds_report(finished)
                print(f"report over seeds: {page}")
                trained = [each.config.seed for each in finished]
                summaries["seeds"] = {"seeds": trained, "report": str(page)}
    write_json(summaries, options.json)
    if failed:
        raise InputError(told(failed, len(seeds)))


def command_prior(*, options: OptionsOfTraining) -> None:
    """Stage 2: train the motion tokenizer (a VQ autoencoder).

    Args:
        options: Which run, and with which settings.
    """
    run_stage("prior", options)


def command_encoder(*, options: OptionsOfTraining) -> None:
    """Stage 3: train the policy's speech encoder, and a regressor.

    Args:
        options: Which run, and with which settings.
    """
    run_stage("encoder", options)


def command_clone(*, options: OptionsOfTraining) -> None:
    """Stage 4: behaviour cloning of the recordings.

    Args:
        options: Which run, and with which settings.
    """
    run_stage("clone", options)


def command_demonstrate(*, options: OptionsOfStage, workers: int = 0) -> None:
    """Stage 5: roll out the clone with more and more random actions.

    Args:
        options: Which run, and with which settings.
        workers: Processes (extra `ray`) that roll out; 0 does it in this one. Results do not depend
            on it.
    """
    run_stage("demonstrate", options, workers=workers)


def command_reward(
    *,
    options: OptionsOfTraining,
    recipe: Recipe | None = None,
    preferences: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = (),
) -> None:
    """Stage 6: train the reward model.

    Args:
        options: Which run, and with which settings.
        recipe: How the reward model is trained: `consensus` (an animation is scored by its expected
            distance from the clone's other samples; settings `consensus.*`) or `paper` (animations
            are ranked by their noise level; settings `reward.*`). A run keeps the recipe that it
            was begun with. [default: consensus]
        preferences: File `preferences.jsonl` of pairs that raters judged, to learn from besides;
            give the option again for each further file. The settings `preferences.*` say how much
            they count.
    """
    if preferences:
        from train.preferences.experiment import learn_later

        learn_later(options.open_existing(*recipe_setting(recipe)), preferences)
        options = dataclasses.replace(options, set=(), preset=None, config=None)
        run_stage("reward", options)
        return
    run_stage("reward", options, *recipe_setting(recipe))


def command_improve(
    *,
    options: OptionsOfTraining,
    base: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    name: Annotated[str | None, tyro.conf.arg(name="as")] = None,
    reward: str | None = None,
    algorithm: tuple[str, ...] = (),
    preferences: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = (),
    speech: Path | None = None,
    speech_test: Path | None = None,
    speech_name: str | None = None,
    speech_settings: SpeechSettings = _USUAL_SPEECH,
) -> None:
    """Stage 7: improve the clone by RL, or learn new voices.

    The setting `improve.algorithms` says which algorithms, `improve.reward` which reward.

    With `--from RUN --as NAME`, another reward, algorithm or setting is tried on the clone of a
    finished run, into `RUN/experiments/NAME`, and compared with the run's own policies; the same
    command goes on where it stopped.

    With `--speech`, a policy of a finished run learns from speech that has no recorded motion, and
    is written to `RUN/speech/NAME`; the stage itself stays as it is.

    Args:
        options: Which run, and with which settings.
        base: Run whose corpus, tokenizer, clone and reward model an experiment shares.
        name: Name of the experiment, for `esarm compare` and `esarm animate --policy`.
        reward: Reward that the experiment climbs: `accuracy`, `learned:RUN`, weights such as
            '{learned: 1, jerk: -0.1}', or one's own as `file.py:Class`; by default the run's.
        algorithm: Algorithms to train with, as `esarm plugins` lists them, or one's own as
            `file.py:Class`; by default the run's first.
        preferences: File `preferences.jsonl` of pairs that raters judged, which correct the reward
            that is climbed. May be given several times.
        speech: Folder of sound files to learn from. Motion files in it are used to measure, never
            to learn.
        speech_test: Folder of sound files to measure on, instead of a share of `--speech`.
        speech_name: Name of the new policy, for `esarm animate --policy`; by default that of the
            folder.
        speech_settings: How a policy learns from speech (with `--speech`).
    """
    if base is not None:
        _without("from", speech=speech, speech_test=speech_test, speech_name=speech_name)
        place_setting(dataclasses.replace(options, run=base), options.corpus)
        run_experiment(
            options, base, name, reward=reward, algorithms=algorithm, preferences=preferences
        )
        return
    alone: dict[str, object] = {"as": name, "reward": reward, "algorithm": algorithm or None}
    alone["preferences"] = preferences or None
    for option, given_alone in alone.items():
        if given_alone is not None:
            raise InputError(f"`{option}` must be left out without `from`, got {given_alone!s:.80}")
    if speech is not None:
        run_speech(options, speech, test=speech_test, name=speech_name, settings=speech_settings)
        return
    others: dict[str, object] = {"speech_test": speech_test, "speech_name": speech_name}
    if speech_settings != _USUAL_SPEECH:
        others["speech_settings"] = speech_settings
    for given, value in others.items():
        if value is not None:
            raise InputError(f"`{given}` must be left out without `speech`, got {value!s:.80}")
    run_stage("improve", options)


def _without(option: str, **others: object) -> None:
    for given, value in others.items():
        if value is not None:
            raise InputError(f"`{given}` must be left out beside `{option}`, got {value!s:.80}")


def command_evaluate(
    *, options: OptionsOfStage, policy: Path | None = None, workers: int = 0
) -> None:
    """Stage 8: measure errors and scores on test utterances.

    Args:
        options: Which run, and with which settings.
        policy: Instead of the run's own policies, one of any origin: a policy file that fits the
            run's tokenizer, conditions and features. It is compared with the clone.
        workers: Processes (extra `ray`) that animate and measure; 0 does it in this one. Results do
            not depend on it.
    """
    from esarm_env.core.workers.pool import check_workers

    check_workers(workers)
    if policy is not None:
        if workers:
            raise InputError(f"`workers` must be left out beside `policy`, got {workers}")
        compare_policies(options, policy)
        return
    run = options.open_existing()
    from train.parallel.stage_pool import working_with
    from train.report import write_report  # torch, as the stages
    from train.run.lock import locked
    from train.stages import STAGE_FUNCTIONS

    say_expected_time(run, ["evaluate"])
    with locked(run.path), working_with(workers):
        summary = STAGE_FUNCTIONS["evaluate"](run)
        print(f"report: {write_report(run)}")
    _print_results(summary)
    write_json(summary, options.json)


def run_stage(name: str, options: RunOptions, *overrides: str, workers: int = 0) -> None:
    """Run one stage with so many workers, print its summary, write it where `--json` says."""
    from esarm_env.core.run_layout import STAGES
    from esarm_env.core.workers.pool import check_workers
    from train.parallel.stage_pool import working_with
    from train.run.lock import locked
    from train.run.loggers import logging_to

    check_workers(workers)  # before a folder is made
    begins = name == STAGES[0]
    run = options.open(*overrides) if begins else options.open_existing(*overrides)
    from train.stages import STAGE_FUNCTIONS  # torch; what is mistyped was told without it

    # A finished stage has no figures to send, and begins nothing at Weights & Biases.
    say_expected_time(run, [name])
    logger = options.logger if isinstance(options, TrainingOptions) else None
    sent = logging_to(None if run.is_finished(name) else logger, run)
    with locked(run.path), sent, working_with(workers):
        summary = STAGE_FUNCTIONS[name](run)
    for key, value in summary.items():
        print(f"{key}: {value}")
    write_json(summary, options.json)


def say_expected_time(run: RunFolder, stages: Sequence[str]) -> None:
    """Print what the unfinished of `stages` took here when they were last done at this size."""
    from train.walltime.stages import expected_time

    if (text := expected_time(run, stages)) is not None:
        print(text, flush=True)


def recipe_setting(recipe: Recipe | None) -> tuple[str, ...]:
    """Return a recipe given on the command line as `--set` settings."""
    return () if recipe is None else (f"recipe={recipe}",)


def _print_results(summary: dict[str, Any]) -> None:
    """Print means and half widths of the report's main table."""
    from esarm_env.task.episode_metrics import EVE, LVE
    from train.rows import rows_from_json

    print("means over test utterances, ± half of their interval")
    table = [("animation", "LVE (mm)", "EVE (mm)", "learned score")]
    for row, figures in rows_from_json(summary["rows"]).items():
        lve, eve, score = (_short(figures[name]) for name in (LVE, EVE, "score"))
        table.append((row.label, lve, eve, score))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells_of_row in table:
        cells = [cell.ljust(width) for cell, width in zip(cells_of_row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _short(figures: list[float | None]) -> str:
    mean, low, high = figures
    if mean is None or low is None or high is None:
        return "n/a"
    return f"{mean:.2f} ± {(high - low) / 2:.2f}"

"""Options that several commands share, and how figures are printed and kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import tyro

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.run.config import Config
    from train.run.run_folder import RunFolder


_ENCODER = "corpus.encoder"


@dataclass
class RunOptions:
    """Which run, and with which settings.

    Attributes:
        run: Folder of the run. An existing one keeps its settings.
        preset: Settings to start from: quick (320 utterances, nothing trained to its end), demo
            (2,000), small (4,000; needs the extra `phones`) or paper (as published; for a GPU;
            needs WavLM weights). [default: demo]
        config: A YAML file of settings instead of a preset (every run folder holds one).
        set: A single setting such as `clone.epochs=10`; give the option again for each further one.
            `esarm settings` lists all.
        json: Also write the printed figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """

    run: Path = Path("runs/demo")
    preset: Literal["quick", "demo", "small", "paper"] | None = None
    config: Path | None = None
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    json: Path | None = None
    threads: int = 0

    def open(self, *extra: str) -> RunFolder:
        """Open or create the run folder; `extra` are further `KEY=VALUE` settings.

        Raises:
            InputError: If a setting cannot be, or the folder holds a run of other settings.
        """
        from esarm_env.core.run_layout import CONFIG_FILE, check_is_here, is_file
        from esarm_env.corpus.opening import check_corpus_name
        from train.run.run_folder import RunFolder
        from train.run.setting_ranges import check_settings

        check_is_here(self.run)
        check_json_target(self.json)
        if self.threads < 0:
            raise InputError(f"`threads` must be at least 0, got {self.threads}")
        use_threads(self.threads)
        overrides = (*self.set, *extra)
        given = self.preset is not None or self.config is not None or overrides
        if is_file(self.run / CONFIG_FILE) and not given:
            return RunFolder.open(self.run)
        config = self.settings(*extra)
        if not is_file(self.run / CONFIG_FILE):
            check_corpus_name(config.corpus.name)
        check_settings(config)
        run = RunFolder.create(self.run, config)
        run.may_fetch = any(each.partition("=")[0].strip() == _ENCODER for each in overrides)
        return run

    def open_existing(self, *extra: str) -> RunFolder:
        """Open the run folder, which a later stage needs to be there; `extra` as of `open`.

        Raises:
            InputError: As `open`, or if there is no run: a mistyped folder is not made one.
        """
        from esarm_env.core.run_layout import CONFIG_FILE, STAGES, is_finished
        from train.run.run_folder import RunFolder
        from train.run.setting_ranges import check_settings

        check_json_target(self.json)
        begun = any(is_finished(self.run, stage) for stage in STAGES)
        if not begun and not (self.run / CONFIG_FILE).is_file():
            if self.sets_anything or extra:
                check_settings(self.settings(*extra))
            return RunFolder.open(self.run)  # which says what is missing
        return self.open(*extra)

    @property
    def sets_anything(self) -> bool:
        """Whether settings are given."""
        return self.preset is not None or self.config is not None or bool(self.set)

    def own_corpus(self) -> tuple[str, ...]:
        """Return the corpus that an existing run was begun with as settings."""
        from train.run.run_folder import RunFolder

        return corpus_setting(RunFolder.open(self.run).config.corpus.name)

    def settings(self, *extra: str) -> Config:
        """Return the settings these options stand for; `extra` are further `KEY=VALUE` ones."""
        from train.run.config import make_config

        overrides = (*self.set, *extra)
        return make_config(preset=self.preset or "demo", file=self.config, overrides=overrides)


@dataclass
class StageOptions(RunOptions):
    """Which run, where its recordings are, and with which settings.

    Attributes:
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
    """

    corpus: str | None = None

    def open_existing(self, *extra: str) -> RunFolder:
        """As `RunOptions.open_existing`; notes first where the recordings are."""
        settled = place_setting(self, self.corpus, *extra)
        return super().open_existing(*settled, *extra)


@dataclass
class TrainingOptions(StageOptions):
    """Which run, where its recordings are, with which settings, and where curves of training go.

    Attributes:
        logger: Where training figures go beside metrics.csv: `tensorboard` files, `wandb` (project
            WANDB_PROJECT or esarm), or `none`. [default: tensorboard if installed]
    """

    logger: Literal["tensorboard", "wandb", "none"] | None = None

    def open_existing(self, *extra: str) -> RunFolder:
        """As `StageOptions.open_existing`; refuses first a logger that is not installed.

        Raises:
            MissingExtraError: If its package is absent; the message holds the pip line.
        """
        from train.run.loggers import check_logger

        check_logger(self.logger)
        return super().open_existing(*extra)


Options = Annotated[RunOptions, tyro.conf.OmitArgPrefixes]
OptionsOfStage = Annotated[StageOptions, tyro.conf.OmitArgPrefixes]
OptionsOfTraining = Annotated[TrainingOptions, tyro.conf.OmitArgPrefixes]


def corpus_setting(corpus: str | None) -> tuple[str, ...]:
    """Return a corpus given on the command line as `--set` settings."""
    return () if corpus is None else (f"corpus.name={json.dumps(corpus)}",)


def place_setting(options: RunOptions, corpus: str | None, *others: str) -> tuple[str, ...]:
    """Return a corpus given on the command line as `--set` settings.

    Of a run that has its recordings already, it is the place where they are now, which is noted.

    Args:
        options: Which run.
        corpus: As given.
        *others: Other settings that are given.

    Raises:
        InputError: If the run has others.
    """
    from esarm_env.core.run_layout import CORPUS_FILE, is_file
    from esarm_env.corpus.opening import CORPUS_NAMES
    from esarm_env.task.run_corpus import note_place, read_corpus_file

    if corpus is None or corpus in CORPUS_NAMES or not is_file(options.run / CORPUS_FILE):
        return corpus_setting(corpus)
    noted = str(read_corpus_file(options.run)["corpus"])
    if noted in CORPUS_NAMES:
        return corpus_setting(corpus)  # which says that a run keeps its corpus
    if os.path.realpath(corpus) != noted:
        note_place(options.run, corpus)
        print(f"recordings of {options.run}: found in {corpus}")
    return options.own_corpus() if others or options.sets_anything else ()


def settle_corpus(run: Path | None, corpus: str | None, *, said_on: TextIO | None = None) -> None:
    """Note where the recordings of a run are now, for this command and all that follow.

    Args:
        run: Which run; None where the command took none.
        corpus: As given; None where nothing is to be noted.
        said_on: Where it is said that they were found; by default standard output.

    Raises:
        InputError: If there is no run, it has no recordings of its own, or these are others.
    """
    from esarm_env.core.run_layout import is_export
    from esarm_env.task.run_corpus import note_place, read_corpus_file

    if corpus is None:
        return
    if run is None:
        raise InputError(f"`corpus` must be given beside the `run` it is of, got {corpus!r} alone")
    if is_export(run):
        raise InputError(f"`corpus` must be left out of an export, got {corpus!r}; {run} is one")
    noted = read_corpus_file(run)["corpus"]
    if noted not in (corpus, os.path.realpath(corpus)):
        note_place(run, corpus)
        print(f"recordings of {run}: found in {corpus}", file=said_on)


def settle_corpora(runs: Sequence[Path], corpora: Sequence[str]) -> None:
    """Note where the recordings of several runs are now: each folder is that of the runs it fits.

    Raises:
        InputError: If a folder fits no run.
    """
    for corpus in corpora:
        refused: list[InputError] = []
        for run in runs:
            try:
                settle_corpus(run, corpus)
            except InputError as error:
                refused.append(error)
        if len(refused) == len(runs):
            raise refused[0]


def use_threads(threads: int) -> None:
    """Let torch use so many CPU threads; 0 leaves the choice to it."""
    if threads > 0:
        import torch

        torch.set_num_threads(threads)


def write_json(figures: dict[str, Any], path: Path | None) -> None:
    """Write `figures` to `path`, if one was given."""
    if path is None:
        return
    from esarm_env.core.cache import write_text

    check_json_target(path)
    write_text(path, json.dumps(figures, indent=1) + "\n")


def check_json_target(path: Path | None, *others: Path | None) -> None:
    """Refuse to write figures over a file that is something else, such as the recording.

    A command calls it first, so that it does not fail when all else is done.

    Args:
        path: Where figures are to go, if anywhere.
        *others: Other files that the command writes.

    Raises:
        InputError: If there is a file that holds no JSON, a folder, or no place to write it.
    """
    if path is None:
        return
    from esarm_env.core.cache import check_target, goes_through

    check_target(path)
    if any(each is not None and _is_same(path, each) for each in others):
        raise InputError(f"`json` must be another file than `output`, got {path} for both")
    if not path.exists() or goes_through(path):
        return
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"`json` must be a new file, or one of JSON to be replaced, got {path}"
        ) from error
    except OSError:
        return  # the writer says it


def check_folder_target(path: Path | None, *, name: str = "output") -> None:
    """Check that a folder can be made or written at `path`, before the work for it begins.

    Raises:
        InputError: If it cannot.
    """
    if path is None:
        return
    from esarm_env.core.cache import check_target

    if path.exists() and not path.is_dir():
        raise InputError(f"`{name}` must be a folder, got the file {path}")
    check_target(path / "file")  # a name of no meaning: only its folder is looked at


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two paths are of one file, which need not be there yet."""
    from esarm_env.core.cache import goes_through

    return os.path.realpath(path) == os.path.realpath(other) and not goes_through(path)

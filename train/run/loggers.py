"""Loggers of trainings beside `metrics.csv`: TensorBoard, Weights & Biases, or none.

Stages do not know of them: `drive` asks for the one in force, which `logging_to` chooses for all
that runs inside it. Without a choice TensorBoard events are written where its package is installed.
"""

from __future__ import annotations

import importlib
import json
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.run_layout import WANDB_FILE, finished_name

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

LoggerName = Literal["tensorboard", "wandb", "none"]
Row = Mapping[str, float]


class TrainingLogger:
    """Logs nothing; base of those that do."""

    def row(self, folder: Path, row: Row) -> None:
        """Take a row of a training in `folder`, as soon as it is there."""

    def end(self, folder: Path, rows: Sequence[Row]) -> None:
        """Take all rows of a training in `folder`, when it has ended."""

    def close(self) -> None:
        """Finish what is open."""


class TensorBoardLogger(TrainingLogger):
    """Writes event files beside each `metrics.csv`, when a training has ended."""

    def end(self, folder: Path, rows: Sequence[Row]) -> None:
        """Write one event file, in place of that of an end that was interrupted."""
        from torch.utils.tensorboard import SummaryWriter

        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        with SummaryWriter(str(folder)) as writer:
            for row in rows:
                for name, value in row.items():
                    if name != "step":
                        writer.add_scalar(name, value, int(row["step"]))


class WandbLogger(TrainingLogger):
    """Sends rows to one run of Weights & Biases as they come, as `STAGE/NAME` over `STAGE/step`.

    An `esarm run` that is resumed goes on with the same one, whose id is in `wandb.json`. Where it
    fails on the way, a warning says so and training goes on: `metrics.csv` has it all.
    """

    def __init__(self, wandb: Any, run: RunFolder) -> None:
        """Begin, or go on with, a run in the project `WANDB_PROJECT`, by default `esarm`.

        Raises:
            InputError: If it cannot be begun, for instance without a login.
        """
        import os

        from train.run.config import to_dict

        self._root, self._seen = run.path.resolve(), set[str]()
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "esarm"),
                name=self._root.name,
                id=_id_in(run.path / WANDB_FILE),
                resume="allow",
                config=to_dict(run.config),
            )
        except Exception as error:  # of a login, a network, a disk
            raise InputError(
                f"`logger` must be one that can begin, got wandb, which says: {one_line(error)}; "
                "run `wandb login`, or set WANDB_MODE=offline"
            ) from error

    def row(self, folder: Path, row: Row) -> None:
        """Send a row."""
        if self._run is None:
            return
        label = label_of(folder, self._root)
        try:
            if label not in self._seen:
                self._run.define_metric(f"{label}/*", step_metric=f"{label}/step")
                self._seen.add(label)
            self._run.log({f"{label}/{name}": value for name, value in row.items()})
        except Exception as error:
            self._run = None
            warnings.warn(f"wandb logs no further, since {one_line(error)}", stacklevel=2)

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()


_CHOSEN: ContextVar[TrainingLogger | None] = ContextVar("training logger", default=None)


def training_logger() -> TrainingLogger:
    """Return the logger in force; without a choice TensorBoard's, where it is installed."""
    chosen = _CHOSEN.get()
    if chosen is not None:
        return chosen
    try:
        return _tensorboard()
    except MissingExtraError:
        return TrainingLogger()


@contextmanager
def logging_to(name: LoggerName | None, run: RunFolder) -> Iterator[None]:
    """Let all trainings inside log to `name`; None leaves the choice to what is installed.

    Raises:
        MissingExtraError: If its package is not installed; the message holds the pip line.
        InputError: If it cannot begin.
    """
    if name is None:
        yield
        return
    with logging_with(_opened(name, run)):
        yield


@contextmanager
def logging_with(logger: TrainingLogger) -> Iterator[None]:
    """Let all trainings inside log to `logger`."""
    token = _CHOSEN.set(logger)
    try:
        yield
    finally:
        _CHOSEN.reset(token)
        logger.close()


def check_logger(name: LoggerName | None) -> None:
    """Check that the package of a logger is installed, before anything is done for it.

    Raises:
        MissingExtraError: If it is not; the message holds the pip line.
    """
    if name == "tensorboard":
        _tensorboard()
    elif name == "wandb":
        _wandb()


def label_of(folder: Path, root: Path) -> str:
    """Return how a training is called: its folder below the run's, finished or not."""
    place = folder.resolve()
    inside = place.relative_to(root).parts if place.is_relative_to(root) else place.parts[-2:]
    return "/".join(finished_name(part) for part in inside)


def _opened(name: LoggerName, run: RunFolder) -> TrainingLogger:
    if name == "tensorboard":
        return _tensorboard()
    return WandbLogger(_wandb(), run) if name == "wandb" else TrainingLogger()


def _tensorboard() -> TrainingLogger:
    try:
        importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        purpose = "`--logger tensorboard`"
        raise MissingExtraError("tensorboard", extra="tensorboard", purpose=purpose) from error
    return TensorBoardLogger()


def _wandb() -> Any:
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise InputError(
            "`logger` must be one that is installed, got wandb: run `pip install wandb`"
        ) from error


def _id_in(file: Path) -> str:
    """Return the id of a run's W&B run, a fresh one if it has none yet."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, LookupError, TypeError):
        kept = None
    if isinstance(kept, str) and kept.isalnum():
        return kept
    fresh = uuid.uuid4().hex[:12]
    write_text(file, json.dumps({"id": fresh}))
    return fresh

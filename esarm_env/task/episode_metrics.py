"""Metrics of finished episodes: what stands in the last `info` beside the scores, by name.

Ours are `lve` and `eve`; packages bring more through the entry-point group `esarm.metrics`. The two
names are written here and nowhere else: who needs one imports the constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from esarm_env.core.errors import InputError, one_line
from esarm_env.core.plugins import Plugin, PluginRegistry, need_class
from esarm_env.core.types import MOUTH, UPPER

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

METRIC_GROUP = "esarm.metrics"
LVE, EVE = "lve", "eve"
# Whose tokens are to blame for a true error.
STREAM_OF_ERROR: Mapping[str, str] = {LVE: MOUTH, EVE: UPPER}
ERROR_UNITS: Mapping[str, str] = {LVE: "mm", EVE: "mm"}
# What else stands in an `info`, or beside metrics in what is made of it.
_RESERVED = {
    "rewards": "the scores of the reward's terms",
    "tokens": "the tokens of the episode",
    "utterance_id": "the utterance of the episode",
    "return": "the summed reward of an evaluation",
    **dict.fromkeys(("final_info", "final_obs"), "Gymnasium's"),
    **dict.fromkeys(("episode", "r", "l", "t", "terminal_observation"), "Stable-Baselines3's"),
}


class MeasureEpisodes(Protocol):
    """Measures finished episodes."""

    def __call__(self, task: AnimationTask, trajectories: Trajectories, /) -> Any:
        """Return one number per trajectory, shape (N,); nan where there is none."""


class MetricError(RuntimeError):
    """A metric failed, or returned what is no number per episode; the message names it."""


@dataclass(frozen=True)
class EpisodeMetric:
    """A metric of finished animations.

    Attributes:
        function: Called with the task and N trajectories, which it must leave as they are; returns
            shape (N,). `task.decode` and `task.errors` of one batch are computed once for all.
        unit: For captions and tables, such as `mm`; empty for a plain number.
        description: One line for lists.
        needs_recording: Whether it compares with the recorded face. Environments then say nan of an
            episode that was animated under another emotion, intensity or speaker than recorded: a
            sad face is no worse for being far from a disgusted one.
    """

    function: MeasureEpisodes
    unit: str = ""
    description: str = ""
    needs_recording: bool = False

    def __post_init__(self) -> None:
        """Check the types."""
        function = cast("object", self.function)
        if not callable(function):
            got = type(function).__name__
            raise InputError(f"`function` must be callable with (task, trajectories), got {got}")
        if not isinstance(cast("object", self.unit), str):
            raise InputError(f"`unit` must be a text such as 'mm', got {self.unit!r}")


METRICS: PluginRegistry[EpisodeMetric] = PluginRegistry(
    "metric",
    METRIC_GROUP,
    check=need_class(EpisodeMetric, "an `EpisodeMetric`"),
    reserved=_RESERVED,
)


def register_metric(
    name: str,
    function: MeasureEpisodes,
    *,
    unit: str = "",
    description: str = "",
    needs_recording: bool = False,
    replace: bool = False,
) -> None:
    """Let a metric stand in the last `info` of environments that this process makes from now on.

    A package registers one for good through the entry-point group `esarm.metrics`, whose values are
    objects of `EpisodeMetric`.

    Args:
        name: Its key in `info`, without spaces and colons.
        function: See `EpisodeMetric`.
        unit: Likewise.
        description: Likewise.
        needs_recording: Likewise.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If the name is taken or cannot be one, or `function` cannot be called.
    """
    metric = EpisodeMetric(function, unit, description, needs_recording)
    METRICS.register(name, metric, replace=replace)


def find_metrics() -> dict[str, Plugin[EpisodeMetric]]:
    """Return all metrics: `lve` and `eve`, then others by name; imports none."""
    found = METRICS.find()
    ours = [name for name in (LVE, EVE) if name in found]
    return {name: found[name] for name in dict.fromkeys([*ours, *found])}


def load_metrics() -> dict[str, EpisodeMetric]:
    """Return the metrics that an environment measures: all that can be imported.

    Raises:
        InputError: If one of ours cannot be, or is not installed.
    """
    found = find_metrics()
    for name in (LVE, EVE):
        METRICS.load(name, setting="metrics")
    return {name: plugin.load() for name, plugin in found.items() if plugin.error is None}


def measure_episodes(
    metrics: Mapping[str, EpisodeMetric], task: AnimationTask, trajectories: Trajectories
) -> dict[str, FloatArray]:
    """Return what each of `metrics` says of `trajectories`, (N,) each, float32.

    It is nan where a metric needs the recording and the condition is another than the recorded one.

    Raises:
        MetricError: If one raises, or does not return N numbers.
    """
    measured: dict[str, FloatArray] = {}
    shape = (len(trajectories),)
    for name, metric in metrics.items():
        try:
            values = np.asarray(metric.function(task, trajectories))
        except Exception as error:
            raise MetricError(
                f"metric {name!r} failed: {type(error).__name__}: {one_line(error)}"
            ) from error
        if values.shape != shape or values.dtype.kind not in "iuf":
            raise MetricError(
                f"metric {name!r} must return numbers of shape {shape}, "
                f"got {values.dtype} {values.shape}"
            )
        measured[name] = values.astype(np.float32, copy=False)
        if metric.needs_recording:
            comparable = _as_recorded(task, trajectories)
            measured[name] = np.where(comparable, measured[name], np.float32(np.nan))
    return measured


def _as_recorded(task: AnimationTask, trajectories: Trajectories) -> BoolArray:
    """Return which of N animations were made under the recorded condition, shape (N,)."""
    recorded = task.condition_of(trajectories.utterance)
    same: BoolArray = (trajectories.condition == recorded).all(axis=-1)
    return same


# A task measures both at once and remembers them for the batch, so that the second costs nothing.
def _lip_error(task: AnimationTask, trajectories: Trajectories) -> FloatArray:
    return task.errors(trajectories)[LVE]


def _upper_error(task: AnimationTask, trajectories: Trajectories) -> FloatArray:
    return task.errors(trajectories)[EVE]


LIP_ERROR = EpisodeMetric(
    _lip_error,
    ERROR_UNITS[LVE],
    "Lip vertex error: the true error of the mouth.",
    needs_recording=True,
)
UPPER_ERROR = EpisodeMetric(
    _upper_error,
    ERROR_UNITS[EVE],
    "Emotional vertex error: the true error of eyes and forehead.",
    needs_recording=True,
)

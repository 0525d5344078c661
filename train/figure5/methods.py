"""Methods of the figure by name: rows of motion of utterances, from a run or from predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agents.baselines import Regressor
from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import SAMPLED
from agents.rollout.named_decoding import AUTO, NAMES, NamedDecoding
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import own_policies, run_policies
from train.rows import method_meant
from train.stages.baselines import mean_face_motions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask

RECORDING, TOKENIZER, MEAN_FACE, REGRESSOR, CLONE = (
    "recording",
    "tokenizer",
    "mean face",
    "regressor",
    "clone",
)
_LABELS = {
    RECORDING: "recording",
    TOKENIZER: "recording through the tokenizer",
    MEAN_FACE: "mean face of the condition",
    REGRESSOR: "regressor",
}
NEED_RECORDING = (RECORDING, TOKENIZER)
# Dark and light by turns, so that neighbours differ in grey, too; the recordings are black.
_COLOURS = (
    "#d1495b",
    "#2b6cb0",
    "#e0a100",
    "#2f8f57",
    "#7e3f98",
    "#f06fae",
    "#1cb5c9",
    "#7f5539",
)
TRUTH_COLOUR = "#1d222b"


@dataclass(frozen=True)
class Row:
    """One row of the figure.

    Attributes:
        name: As it is asked for.
        label: As it is shown.
        motion: Of the subject, shape (T, 52), 30 fps.
    """

    name: str
    label: str
    motion: FloatArray


def default_methods(policies: Mapping[str, Path], *, regressor: bool, recorded: bool) -> list[str]:
    """Return the rows that a run has, ground truth on top; of policies the clone is also sampled.

    Args:
        policies: Of the run, without those of experiments, which are shown where they are named.
        regressor: Whether it has one.
        recorded: Whether there is recorded motion.
    """
    names = [RECORDING, TOKENIZER] if recorded else []
    names += [MEAN_FACE, *([REGRESSOR] if regressor else [])]
    for policy in policies:
        names += [policy, f"{policy}:{SAMPLED}"] if policy == CLONE else [policy]
    return names


def check_methods(
    asked: Sequence[str], policies: Mapping[str, Path], *, regressor: bool, recorded: bool
) -> list[str]:
    """Return what is asked for, each once, the recording on top.

    Raises:
        InputError: If the run has no method of a name; the message lists those there are.
    """
    known = default_methods(policies, regressor=regressor, recorded=recorded)
    asked = meant(asked, policies)
    for name in asked:
        if not recorded and name in NEED_RECORDING:
            raise InputError(
                f"`methods` must not need recorded motion, which a voice lacks, got {name!r}"
            )
        policy, _, decoding = name.partition(":")
        if name not in known and policy not in policies:
            raise InputError(
                f"`methods` must be of the run: {', '.join(known)}, or POLICY:DECODING, "
                f"got {name!r}"
            )
        if decoding and decoding not in NAMES:
            raise InputError(
                f"`methods` must name a decoding of {', '.join(NAMES)}, got {decoding!r} in "
                f"{name!r}"
            )
    rows = list(dict.fromkeys(asked))
    return sorted(rows, key=lambda name: name != RECORDING)


def meant(asked: Sequence[str], policies: Mapping[str, Path]) -> list[str]:
    """Return names as this module has them, whatever spelling of theirs is asked for.

    Args:
        asked: As in tables and reports, too: `clone (sampled)`, `clone, sampled`, `mean-face`.
        policies: Of the run.
    """
    known = [RECORDING, TOKENIZER, MEAN_FACE, REGRESSOR, *policies]
    known += [f"{policy}:{decoding}" for policy in policies for decoding in NAMES]
    return [method_meant(name, known) for name in asked]


class RunMethods:
    """Methods of one run on utterances of its corpus.

    Attributes:
        task: Of the run.
        policies: Weights by name.
    """

    def __init__(self, run_path: Path, task: AnimationTask, *, seed: int = 0) -> None:
        """Take a run folder and its task; `seed` draws what is sampled."""
        self.task, self.policies, self._seed = task, run_policies(run_path), seed
        self._own = own_policies(run_path)

    @property
    def has_regressor(self) -> bool:
        """Whether the run's speech encoder can be read as curves."""
        return self.task.speech_encoder is not None

    def check(self, asked: Sequence[str]) -> list[str]:
        """Return the methods to show, all that there are where none is asked for.

        Raises:
            InputError: As `check_methods`.
        """
        known = {"regressor": self.has_regressor, "recorded": True}
        if not asked:
            return default_methods(self._own, **known)
        return check_methods(asked, self.policies, **known)

    def animate(self, name: str, utterances: IntArray) -> tuple[str, list[FloatArray]]:
        """Return the label of a method, and its motion of utterances, (T, 52) each.

        Raises:
            InputError: If the policy cannot be decoded in this way.
        """
        task = self.task
        if name == RECORDING:
            return _LABELS[name], [task.corpus[int(index)].motion for index in utterances]
        if name == TOKENIZER:
            return _LABELS[name], self._cut(task.decode(task.recorded(utterances)), utterances)
        if name == MEAN_FACE:
            return _LABELS[name], mean_face_motions(task, utterances)
        if name == REGRESSOR and task.speech_encoder is not None:
            regressor, conditions = Regressor(task.speech_encoder), task.condition_of(utterances)
            return _LABELS[name], [
                regressor.animate(task.features[int(index)], condition)
                for index, condition in zip(utterances, conditions, strict=True)
            ]
        policy, _, asked = name.partition(":")
        network = load_policy(self.policies[policy])
        decoding = NamedDecoding(asked or AUTO).of(network)
        written = animate_utterances(network, task, utterances, decoding=decoding, seed=self._seed)
        return policy_label(policy, decoding.name), self._cut(task.decode(written), utterances)

    def _cut(self, motion: FloatArray, utterances: IntArray) -> list[FloatArray]:
        """Return padded motion (N, T, 52) as one array for each utterance."""
        counts = self.task.n_frames[utterances]
        return [row[:count] for row, count in zip(motion, counts, strict=True)]


def policy_label(policy: str, decoding: str) -> str:
    """Return how a policy's row is called, as in the report of a run."""
    return f"{policy}, {decoding.replace('-', ' ')}"


def method_label(name: str) -> str:
    """Return how a method that is no policy is called."""
    return _LABELS[name]


def row_colours(labels: Sequence[str]) -> dict[str, str]:
    """Return the colour of each row by its label, the same in every picture and on the page."""
    others = [label for label in labels if label != _LABELS[RECORDING]]
    colours = {label: _COLOURS[k % len(_COLOURS)] for k, label in enumerate(others)}
    return colours | {_LABELS[RECORDING]: TRUTH_COLOUR}


def errors_mm(task: AnimationTask, motion: FloatArray, index: int) -> dict[str, float]:
    """Return `lve` and `eve` in mm of motion (T, 52) of an utterance."""
    found = task.errors_of_motion(motion[None], np.array([index]))
    return {name: float(values[0]) for name, values in found.items()}

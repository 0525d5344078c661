"""Figures of the evaluation beside LVE, EVE and score: EVE without eyelids, and energy scores.

EVE is dominated by blinks, which no policy can foresee. Energy scores tell whether samples are as
good as they are varied; they need several animations of each utterance, so they are taken on some
of the test utterances (`evaluate.energy_samples`, `evaluate.energy_utterances`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.metrics import Quantity, Variant, energy_quantity, energy_score, vertex_error
from train.rows import Row, sampled

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from train.run.config import EvaluateConfig

EVE_WITHOUT_LIDS = "eve_without_lids"
LVE_ENERGY, EVE_ENERGY = "lve_energy", "eve_energy"
_ENERGIES = {LVE_ENERGY: Variant("lips"), EVE_ENERGY: Variant("upper")}

# Animates utterances (N,) once more: the sample's number gives other random choices.
Sample = Callable[["IntArray", int], "Trajectories"]


def _known(task: AnimationTask, utterances: IntArray) -> dict[str, Any]:
    """Return what every metric is told of `utterances`."""
    return {
        "head": task.head,
        "captured": task.corpus.captured,
        "lengths": task.n_frames[utterances],
    }


def error_without_lids(
    task: AnimationTask, motion: FloatArray, utterances: IntArray
) -> dict[str, FloatArray]:
    """Return `eve_without_lids` in mm, (N,), of motion (N, T, 52) of `utterances` (N,)."""
    target = task.target_motion(utterances)
    options = Variant("upper_without_lids").options
    found = vertex_error(
        motion[:, : target.shape[1]], target, **_known(task, utterances), **options
    )
    return {EVE_WITHOUT_LIDS: found.astype(np.float32)}


def energy_quantities(config: EvaluateConfig) -> dict[str, Quantity]:
    """Return what each key of `energy_rows` is."""
    return {
        key: energy_quantity(variant, n_samples=config.energy_samples)
        for key, variant in _ENERGIES.items()
    }


def energy_utterances(task: AnimationTask, config: EvaluateConfig) -> IntArray:
    """Return the test utterances whose energy scores are measured, ascending."""
    test = task.corpus.split("test")
    if not 0 < config.energy_utterances < len(test):
        return test
    # Drawn, not evenly spaced: corpora cycle through emotions and intensities.
    drawn = np.random.default_rng(0).permutation(len(test))[: config.energy_utterances]
    return np.sort(test[drawn])


def energy_rows(
    task: AnimationTask, policies: Mapping[str, Sample], config: EvaluateConfig
) -> dict[Row, dict[str, FloatArray]]:
    """Return the energy scores of sampled animations, in mm, per utterance.

    Args:
        task: Gives the recordings, the head and what was captured.
        policies: By name, what samples an animation at temperature 1.
        config: How many samples of how many utterances.

    Returns:
        `lve_energy` and `eve_energy`, one per utterance of `energy_utterances`, by sampled row.
    """
    chosen = energy_utterances(task, config)
    target, known = task.target_motion(chosen), _known(task, chosen)
    rows = {}
    for name, sample in policies.items():
        drawn = [task.decode(sample(chosen, number)) for number in range(config.energy_samples)]
        motions = np.stack([motion[:, : target.shape[1]] for motion in drawn], axis=1)
        rows[sampled(name)] = {
            key: energy_score(motions, target, variant=variant, **known).astype(np.float32)
            for key, variant in _ENERGIES.items()
        }
    return rows

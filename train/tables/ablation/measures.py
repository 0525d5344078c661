"""True errors and metrics of one cell of an ablation, per test utterance, kept as CSV.

| file | holds |
|---|---|
| `figures.csv` | errors in mm, FDD and closure F1 of every test utterance, by decoding |
| `energy.csv` | energy scores of the utterances that are sampled several times |
| `cell.json` | what was trained and how long it took; written last |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import animate_utterances
from agents.rollout.best_of_n import best_of_n
from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.core.cache import read_json, write_text
from esarm_env.core.run_layout import POLICY_FILE
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.metrics import measure
from esarm_env.task.episode_metrics import EVE, LVE
from esarm_env.task.opening import open_task
from train.rows import TOKENIZER, Row, expected, greedy, sampled
from train.seeds.figures import read_figures
from train.stages.demonstrate import evenly
from train.stages.evaluate import on_head, write_per_utterance
from train.stages.measures import (
    EVE_ENERGY,
    EVE_WITHOUT_LIDS,
    LVE_ENERGY,
    energy_rows,
    extra_utterances,
)
from train.tables.ablation.variants import CLONE

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder
    from train.tables.ablation.variants import Variant

FIGURES_CSV, ENERGY_CSV, CELL_FILE = "figures.csv", "energy.csv", "cell.json"
FDD, CLOSURE = "fdd", "closure_f1"
# What each of our columns is called by the suite of metrics.
_KEYS = {
    LVE: "lve_max_l2_mm",
    EVE: "eve_max_l2_mm",
    EVE_WITHOUT_LIDS: "eve_without_eyelids_max_l2_mm",
    FDD: "fdd_absolute",
    CLOSURE: "closure_event_f1",
}
FIGURES, ENERGIES = tuple(_KEYS), (LVE_ENERGY, EVE_ENERGY)


@dataclass(frozen=True)
class Cell:
    """What one variant is worth under one seed.

    Attributes:
        figures: By decoding (or `tokenizer`), by key of `FIGURES`, (N,) each.
        energy: By key of `ENERGIES`, (M,); empty where samples have no such score.
        trained: Stages that were worked for it.
        hours: Of these stages and of measuring.
        threads: CPU threads of torch that measured it.
        recipe: What it was: settings, policy and decoding, to tell it from another.
    """

    figures: dict[str, dict[str, DoubleArray]]
    energy: dict[str, DoubleArray]
    trained: tuple[str, ...]
    hours: float
    threads: int
    recipe: dict[str, Any]


def write_cell(folder: Path, note: Mapping[str, Any]) -> None:
    """Note that a cell is measured, with the fields of `Cell` that are no figures."""
    write_text(folder / CELL_FILE, json.dumps(dict(note), indent=1) + "\n")


def read_cell(folder: Path) -> Cell | None:
    """Return what was measured; None where that is not finished.

    Raises:
        InputError: If a file of it is damaged.
    """
    if not (folder / CELL_FILE).is_file():
        return None
    note = read_json(folder / CELL_FILE, "a measured variant", remedy=f"delete {folder}")
    figures = {
        _decoding_of(label): values
        for label, (_, values) in read_figures(folder / FIGURES_CSV, FIGURES).items()
    }
    energy: dict[str, DoubleArray] = {}
    if (folder / ENERGY_CSV).is_file():
        energy = next(iter(read_figures(folder / ENERGY_CSV, ENERGIES).values()))[1]
    return Cell(
        figures,
        energy,
        tuple(note["trained"]),
        float(note["hours"]),
        int(note["threads"]),
        dict(note["recipe"]),
    )


def _decoding_of(label: str) -> str:
    row = Row.from_label(label)
    return row.decoding or row.source


def measure_variant(
    variant: Variant, policy: str, run: RunFolder, folder: Path, *, utterances: int
) -> None:
    """Write what the animations of a variant are worth on the test utterances into `folder`.

    Args:
        variant: Says how they are made.
        policy: Whose they are: an algorithm, `clone`, or `tokenizer`.
        run: Trained as far as this takes.
        folder: To write into.
        utterances: So many test utterances, evenly spaced; 0 means all.

    Raises:
        InputError: If a stage of the run is missing.
    """
    task = on_head(open_task(run.path), run.config.evaluate.head)
    chosen = evenly(task.corpus.split("test"), utterances)
    rows: dict[Row, dict[str, FloatArray]] = {}
    # Of every variant, so that a policy stands beside what its tokens allow.
    rows[Row(TOKENIZER)] = _figures(task, task.decode(task.recorded(chosen)), chosen)
    if policy != TOKENIZER:
        model = _load(run, policy)
        if variant.best_of:
            rows[sampled(policy)] = _best(variant, run, model, task, chosen)
        else:
            rows |= _decoded(policy, run, model, task, chosen)
            energy = energy_rows(task, {policy: model}, run.config.evaluate, seed=run.config.seed)
            few = extra_utterances(task, run.config.evaluate)
            write_per_utterance(energy, task, few, folder / ENERGY_CSV)
    write_per_utterance(rows, task, chosen, folder / FIGURES_CSV)


def _load(run: RunFolder, policy: str) -> MotionTransformer:
    if policy == CLONE:
        return load_policy(run.stage("clone") / POLICY_FILE)
    return load_policy(run.stage("improve") / policy / POLICY_FILE)


def _decoded(
    policy: str, run: RunFolder, model: MotionTransformer, task: AnimationTask, chosen: IntArray
) -> dict[Row, dict[str, FloatArray]]:
    """Return the figures of a policy by every decoding, sampled ones as means of some samples."""
    decodings = {greedy(policy): [Decoding()]}
    if model.knows_distances:
        decodings[expected(policy)] = [Decoding(expected_distance=True)]
    decodings[sampled(policy)] = [Decoding(temperature=1.0)] * run.config.evaluate.samples
    rows = {}
    for row, ways in decodings.items():
        each = [
            _figures(
                task,
                task.decode(
                    animate_utterances(
                        model, task, chosen, decoding=way, seed=run.config.seed, sample=number
                    )
                ),
                chosen,
            )
            for number, way in enumerate(ways)
        ]
        rows[row] = {key: np.mean([one[key] for one in each], axis=0) for key in FIGURES}
    return rows


def _best(
    variant: Variant,
    run: RunFolder,
    model: MotionTransformer,
    task: AnimationTask,
    chosen: IntArray,
) -> dict[str, FloatArray]:
    """Return the figures of the samples that the run's reward prefers."""
    env = SpeechAnimationEnv(run.path, reward=run.config.improve.reward, metrics=False)
    written, _ = best_of_n(
        model,
        task,
        chosen,
        score=env.reward_function.score,
        n=variant.best_of,
        seed=run.config.seed,
    )
    return _figures(task, task.decode(written), chosen)


def _figures(task: AnimationTask, motion: FloatArray, chosen: IntArray) -> dict[str, FloatArray]:
    """Return errors and metrics of motion (N, T, 52), each (N,)."""
    target = task.target_motion(chosen)
    found = measure(
        motion[:, : target.shape[1]],
        target,
        head=task.head,
        captured=task.corpus.captured,
        lengths=task.n_frames[chosen],
    )
    return {key: np.asarray(found[name], dtype=np.float32) for key, name in _KEYS.items()}

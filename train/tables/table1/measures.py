"""Figures of animations, one for each utterance: what the columns of the table are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.metrics import (
    DIVERSITY,
    EMOTION_ACCURACY,
    SLCC,
    Quantity,
    Variant,
    diversity,
    energy_parts,
    energy_quantity,
    measure,
    quantities,
)
from esarm_env.task.animation_task import pad_stack
from esarm_env.task.episode_metrics import EVE, LVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.core.types import DoubleArray, FloatArray, IntArray
    from train.tables.table1.benchmark import Benchmark

LVE_MEAN, EVE_MEAN, EVE_WITHOUT_LIDS = "lve_mean", "eve_mean", "eve_without_lids"
FDD, CLOSURE, SYNCHRONY, EMOTION = "fdd", "closure", "synchrony", "emotion"
LVE_ENERGY, EVE_ENERGY, DIVERSE = "lve_energy", "eve_energy", "diversity"
VARIANTS = {
    LVE: Variant("lips"),
    EVE: Variant("upper"),
    LVE_MEAN: Variant("lips", reduce="mean"),
    EVE_MEAN: Variant("upper", reduce="mean"),
    EVE_WITHOUT_LIDS: Variant("upper_without_lids"),
}
_ENERGIES = {LVE_ENERGY: VARIANTS[LVE], EVE_ENERGY: VARIANTS[EVE]}
# Of our figures, what the metric suite calls them.
_OTHERS = {FDD: "fdd_absolute", CLOSURE: "closure_event_f1"}
_SPEED = "lip_speed_predicted"
ONE_EACH = (*VARIANTS, *_OTHERS, SYNCHRONY, EMOTION)  # of one animation of each utterance
SEVERAL_EACH = (*_ENERGIES, DIVERSE)  # of several


def definitions(*, n_samples: int) -> dict[str, Quantity]:
    """Return what each figure is."""
    suite = quantities(VARIANTS.values())
    return {
        **{key: variant.quantity for key, variant in VARIANTS.items()},
        **{key: suite[name] for key, name in _OTHERS.items()},
        SYNCHRONY: SLCC,
        EMOTION: EMOTION_ACCURACY,
        **{k: energy_quantity(v, n_samples=n_samples) for k, v in _ENERGIES.items()},
        DIVERSE: DIVERSITY,
    }


def measure_motions(
    benchmark: Benchmark, motions: Sequence[FloatArray], rows: IntArray
) -> dict[str, FloatArray]:
    """Return the figures `ONE_EACH` of the test utterances; nan where there is no motion.

    Args:
        benchmark: Gives recordings, head, judge and loudness.
        motions: Shape (T, 52) each, as long as their utterance.
        rows: Of which test utterance each is, as its place in `benchmark.test`.

    Returns:
        Shape (N,) each, for all N test utterances.
    """
    task, utterances = benchmark.task, benchmark.test[rows]
    suite = measure(
        pad_stack(list(motions), edge=True),
        task.target_motion(utterances),
        variants=VARIANTS.values(),
        **_known(benchmark, utterances),
    )
    found: dict[str, Any] = {key: suite[variant.key] for key, variant in VARIANTS.items()}
    found |= {key: suite[name] for key, name in _OTHERS.items()}
    speakers = [task.corpus.records[int(index)].speaker for index in utterances]
    found[SYNCHRONY] = synchrony(benchmark.loudness[rows], suite[_SPEED], speakers)
    found[EMOTION] = _recognised(benchmark, motions, utterances)
    figures = {}
    for key in ONE_EACH:
        figures[key] = np.full(len(benchmark.test), np.nan, dtype=np.float32)
        figures[key][rows] = found[key]
    return figures


def synchrony(
    loudness: FloatArray, speed: FloatArray | DoubleArray, speakers: Sequence[str]
) -> DoubleArray:
    """Return what each clip adds to SLCC: the product of its z-scores within its speaker.

    Its mean is `esarm_env.metrics.speech_lip_correlation`, so that intervals can be had from it.

    Args:
        loudness: Shape (N,).
        speed: Lip speed, shape (N,).
        speakers: Of each clip; one who has a single clip, or none that differ, gets nan.
    """
    products = np.full(len(loudness), np.nan)
    names = np.array(speakers)
    known = np.isfinite(speed)
    for name in np.unique(names):
        rows = np.flatnonzero(known & (names == name))
        if not len(rows):
            continue
        x, y = loudness[rows].astype(np.float64), np.asarray(speed[rows], dtype=np.float64)
        if x.std() > 1e-6 * abs(x.mean()) and y.std() > 1e-6 * abs(y.mean()):
            products[rows] = (x - x.mean()) / x.std() * (y - y.mean()) / y.std()
    return products


def measure_samples(
    benchmark: Benchmark, samples: Sequence[Sequence[FloatArray]]
) -> dict[str, FloatArray]:
    """Return the figures `SEVERAL_EACH` of the utterances `benchmark.several`, shape (M,) each.

    Args:
        benchmark: Gives recordings and head.
        samples: For each number of the sample the motion of every utterance, (T, 52) each.
    """
    utterances = benchmark.several
    target, known = benchmark.task.target_motion(utterances), _known(benchmark, utterances)
    drawn = np.stack([pad_stack(list(each), edge=True) for each in samples], axis=1)
    figures: dict[str, Any] = {
        key: energy_parts(drawn, target, variant=variant, **known).score
        for key, variant in _ENERGIES.items()
    }
    # A few pairs: all vertices of all pairs would cost more than everything else here.
    rng = np.random.default_rng(benchmark.seed)
    figures[DIVERSE] = diversity(drawn, rng=rng, **known)
    return {key: values.astype(np.float32) for key, values in figures.items()}


def _known(benchmark: Benchmark, utterances: IntArray) -> dict[str, Any]:
    task = benchmark.task
    return {
        "head": task.head,
        "captured": task.corpus.captured,
        "lengths": task.n_frames[utterances],
    }


def _recognised(
    benchmark: Benchmark, motions: Sequence[FloatArray], utterances: IntArray
) -> FloatArray:
    """Return 1 where the judge sees the recorded emotion, 0 where another, nan without a judge."""
    if benchmark.judge is None:
        return np.full(len(utterances), np.nan, dtype=np.float32)
    seen = benchmark.judge.predict(motions)
    said = [benchmark.task.corpus.records[int(index)].emotion for index in utterances]
    return np.array([a == b for a, b in zip(seen, said, strict=True)], dtype=np.float32)

"""`esarm bench metrics`, `pictures` and `synthetic`: throughput on this machine."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.audio.features import make_encoder
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, SAMPLE_RATE_HZ
from esarm_env.corpus.synthetic import open_synthetic
from esarm_env.face.head import load_head
from esarm_env.metrics import measure
from esarm_env.rendering import Caption, Scene
from train.bench.references import PICTURES_PER_S, compare, comparison_line
from train.bench.turns import MIB, peak_bytes


def time_metrics(*, n_utterances: int = 1000, duration_s: float = 3.0) -> dict[str, Any]:
    """Measure all metrics of random utterances on the head that ships with the package.

    Args:
        n_utterances: How many.
        duration_s: Of each.

    Returns:
        What was measured, its wall time in s, and the process' peak memory in MiB.
    """
    head = load_head()
    rng = np.random.default_rng(0)
    shape = (n_utterances, round(duration_s * FRAME_RATE_HZ), N_CHANNELS)
    target = rng.uniform(0, 0.6, shape).astype(np.float32)
    predicted = target + 0.05 * rng.standard_normal(shape).astype(np.float32)
    begin = time.perf_counter()
    figures = measure(predicted, target, head=head)
    wall_s = time.perf_counter() - begin
    return {
        "utterances": n_utterances,
        "seconds_each": duration_s,
        "metrics": len(figures),
        "vertices": head.n_vertices,
        "wall_s": round(wall_s, 2),
        "peak_memory_mib": round(peak_bytes() / MIB),
    }


def time_pictures(*, n_pictures: int = 60, bars: bool = False) -> dict[str, Any]:
    """Measure how fast one core draws the pictures of a recording, as a video is made of them.

    Args:
        n_pictures: How many, each in a pose of its own: one that is drawn again costs nothing.
        bars: Whether our own reference stands beside them.

    Returns:
        Pictures, their processor time in s, how many the fastest second has, and perhaps
        `reference`: below it, recording a corpus takes longer than speaking it.
    """
    scene = Scene(load_head())
    poses = np.random.default_rng(0).uniform(0, 0.6, (n_pictures, N_CHANNELS)).astype(np.float32)
    caption = Caption("a", "Hm.", "sad", 1, None, step=1, n_steps=8, time_s=0.0, duration_s=0.3)
    times_s = []
    for pose in poses:
        begin = time.process_time()
        scene.picture(pose, caption)
        times_s.append(time.process_time() - begin)
    row = compare("pictures/s", 1 / min(times_s), PICTURES_PER_S)
    beside = {"reference": comparison_line(row, bars=True)} if bars else {}
    return {
        "pictures": n_pictures,
        "processor_s": round(sum(times_s), 2),
        "fastest_per_s": round(1 / min(times_s), 1),
        "median_per_s": round(1 / float(np.median(times_s)), 1),
    } | beside


def time_synthetic(*, size: int = 200) -> dict[str, Any]:
    """Measure how fast one worker makes a synthetic corpus, and one thread its log-mel features.

    Args:
        size: Utterances.

    Returns:
        Seconds of speech, and how many of them each step makes in a second.
    """
    with tempfile.TemporaryDirectory() as cache:
        begin = time.perf_counter()
        corpus = open_synthetic(
            "synthetic-mead", size=size, cache_dir=Path(cache), n_workers=1, progress=False
        )
        made_s = time.perf_counter() - begin
        encoder = make_encoder("logmel")
        encoder.encode(corpus[0].audio)  # imports and compiles
        begin = time.perf_counter()
        for index in range(len(corpus)):
            encoder.encode(corpus[index].audio)
        encoded_s = time.perf_counter() - begin
        speech_s = sum(len(corpus[index].audio) for index in range(len(corpus))) / SAMPLE_RATE_HZ
    return {
        "utterances": size,
        "speech_s": round(speech_s, 1),
        "generation_times_real_time": round(speech_s / made_s, 1),
        "features_times_real_time": round(speech_s / encoded_s, 1),
        "together_times_real_time": round(speech_s / (made_s + encoded_s), 1),
    }

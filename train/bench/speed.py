"""`esarm bench metrics` and `esarm bench synthetic`: throughput on this machine."""

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

"""Measurements of speed and memory: of environments, trainers, metrics, pictures and corpora."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from train.commands.options import check_json_target, settle_corpus, write_json

if TYPE_CHECKING:
    from agents.network.acceleration import Acceleration


def bench_env(
    *,
    run: Path | None = None,
    corpus: str | None = None,
    bars: bool = False,
    json: Path | None = None,
) -> None:
    """Measure steps per second and memory of the environment, beside Gymnasium's and SB3's.

    Args:
        run: A run folder whose task and reward are measured; by default those that ship with the
            package.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        bars: Also print our own reference figures, for developers.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settle_corpus(run, corpus)
    write_json(_environment(run, bars=bars), json)


def bench_agents(
    *,
    quick: bool = False,
    profile: bool = False,
    threads: int = 0,
    device: str = "cpu",
    bf16: bool = False,
    compile: bool = False,
    cuda_graphs: bool = False,
    bars: bool = False,
    json: Path | None = None,
) -> None:
    """Measure tokens per second and memory of our trainers, beside SB3, sb3-contrib and GPT-2.

    sb3-contrib is measured where the extra `contrib` is installed.

    Args:
        quick: Measure only sequences of 64 and 128 tokens, and 16 episodes.
        profile: Print where our roll-out spends its time, instead of the comparison.
        threads: CPU threads of torch; 0 means one for each processor.
        device: Device of all networks: `cpu` or `cuda`.
        bf16: Measure our trainers a second time in bfloat16, together with the next two options,
            and how far their results are from those in single precision.
        compile: Compile the update's forward pass in that second measurement.
        cuda_graphs: Record the roll-out's step and replay it in that second measurement; needs
            `--device cuda`.
        bars: Also print our own reference figures, for developers.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    options = {"bf16": bf16, "compile": compile, "cuda_graphs": cuda_graphs}
    if profile:
        figures = _profile(threads)
    else:
        figures = _agents(quick, threads, device, options, bars=bars)
    write_json(figures, json)


def bench_workers(
    *,
    run: Path | None = None,
    workers: tuple[int, ...] = (0, 1, 2),
    episodes: int = 256,
    repetitions: int = 5,
    corpus: str | None = None,
    json: Path | None = None,
) -> None:
    """Measure roll-outs by several numbers of workers, and model what many more would bring.

    Needs the extra `ray`. All numbers of workers take turns at the same episodes, which are
    compared to the last bit; 0 is this process with one torch thread.

    Args:
        run: A run folder whose clone and reward are measured; by default those that ship with the
            package.
        workers: Numbers of workers, such as `--workers 0 1 2`.
        episodes: Episodes of an iteration, a multiple of 4.
        repetitions: How often each is measured after a warm-up; the median counts.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settle_corpus(run, corpus)
    write_json(_workers(run, workers, episodes, repetitions), json)


def bench_metrics(*, json: Path | None = None) -> None:
    """Measure the speed of all metrics on 1,000 utterances of 3 s.

    Args:
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_speed("metrics"), json)


def bench_pictures(*, bars: bool = False, json: Path | None = None) -> None:
    """Measure the speed of drawing the head for a video, on one core.

    Args:
        bars: Also print our own reference figures, for developers.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_speed("pictures", bars=bars), json)


def bench_synthetic(*, json: Path | None = None) -> None:
    """Measure the speed of making a synthetic corpus and its features, on one core.

    Args:
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_speed("synthetic"), json)


def check_device(device: str, acceleration: Acceleration) -> None:
    """Check that torch has `device` here, and that it can do what is asked for.

    Raises:
        InputError: If not.
    """
    import torch

    try:
        acceleration.check_for(torch.device(device))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"`device`: {str(error).splitlines()[0]}") from error
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"`device` must be one that torch finds here, got {device!r}; use `cpu`")


def _environment(run: Path | None, *, bars: bool) -> dict[str, Any]:
    from train.bench.environment import bench_environment, render

    figures = bench_environment(run)
    print(render(figures, bars=bars))
    return figures


def _agents(
    quick: bool, threads: int, device: str, options: dict[str, bool], *, bars: bool
) -> dict[str, Any]:
    from agents.network.acceleration import Acceleration
    from train.bench.agents import benchmark
    from train.bench.agents.table import render

    sizes: dict[str, Any] = {}
    if quick:
        sizes = {
            "lengths": benchmark.QUICK_LENGTHS,
            "episodes": benchmark.QUICK_EPISODES,
            "n_windows": benchmark.QUICK_WINDOWS,
        }
    acceleration = Acceleration(**options)
    check_device(device, acceleration)
    figures = benchmark.bench_agents(
        threads=threads, device=device, acceleration=acceleration, **sizes
    )
    print(render(figures, bars=bars))
    return figures


def _workers(
    run: Path | None, workers: tuple[int, ...], episodes: int, repetitions: int
) -> dict[str, Any]:
    from train.bench.workers.measurement import bench_workers as measure
    from train.bench.workers.table import render

    figures = measure(run, workers=workers, episodes=episodes, repetitions=repetitions)
    print(render(figures))
    return figures


def _profile(threads: int) -> dict[str, Any]:
    from train.bench.agents.cases import Case
    from train.bench.agents.profile import profile_rollout, render_profile

    figures = profile_rollout(Case("ours", 128, 16), threads=threads or os.cpu_count() or 1)
    print(render_profile(figures))
    return figures


def _speed(what: str, **options: bool) -> dict[str, Any]:
    from train.bench.speed import time_metrics, time_pictures, time_synthetic

    timed: dict[str, Callable[[], dict[str, Any]]]
    timed = {"metrics": time_metrics, "pictures": time_pictures, "synthetic": time_synthetic}
    figures: dict[str, Any] = timed[what](**options)
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures

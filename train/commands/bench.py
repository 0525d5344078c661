"""`esarm bench`: measurements of speed, and beside other people's work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from esarm_env.core.errors import InputError
from train.commands.options import check_json_target, write_json

if TYPE_CHECKING:
    from agents.network.acceleration import Acceleration


def command_bench() -> None:
    """Measure a finished run beside its peers, or how fast things are here: `bench env` and others.

    Each has options of its own: see `esarm bench --help`.
    """


def bench_env(*, run: Path | None = None, bars: bool = False, json: Path | None = None) -> None:
    """Steps per second and memory of the environment, beside Gymnasium's and SB3's; minutes.

    Args:
        run: A run folder, of which task and reward are taken; by default those that ship with the
            package.
        bars: For developers: beside our own reference figures.
        json: Also write the figures to this file.
    """
    check_json_target(json)
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
    """Tokens per second and memory of our trainers, beside stock SB3, sb3-contrib and GPT-2.

    Takes many minutes; sb3-contrib is of the extra `contrib`.

    Args:
        quick: Only 64 and 128 tokens, 16 episodes; takes a few minutes.
        profile: Instead of all that, where the time of our roll-out goes.
        threads: CPU threads of torch; 0 means one for each processor.
        device: Where all networks are: `cpu` or `cuda`.
        bf16: Measure ours once more in bfloat16; likewise the next two, all together.
        compile: With the update's forward pass compiled.
        cuda_graphs: With the roll-out's step recorded and replayed; needs `--device cuda`.
        bars: For developers: beside our own reference figures.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    options = {"bf16": bf16, "compile": compile, "cuda_graphs": cuda_graphs}
    if profile:
        figures = _profile(threads)
    else:
        figures = _agents(quick, threads, device, options, bars=bars)
    write_json(figures, json)


def bench_peers(*, run: Path = Path("runs/demo"), json: Path | None = None) -> None:
    """Lip error (LVE) on the test frames, policies against the rule-based `openfacefx`.

    In loudness mode; needs the extra `peers`.

    Args:
        run: A run folder, of which the policies are taken.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_peers(run), json)


def bench_prior(
    *,
    run: Path | None = None,
    corpus: str | None = None,
    sweep: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    out: Path = Path("runs/bench-prior"),
    json: Path | None = None,
) -> None:
    """Floor, tokens and bits per second, codes in use, and speed of motion priors trained here.

    Of several settings; takes a minute or two each.

    Args:
        run: A run folder, of which corpus and settings are taken; by default those of the preset
            `demo`.
        corpus: Without a run: a corpus by name or folder.
        sweep: A setting such as "mouth_codebooks=4 n_tokens=256"; give the option again for more.
            By default a dozen.
        out: A folder that keeps weights, figures and the table `prior.md`: what is finished there
            is not trained again.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_prior(run, corpus, sweep, out), json)


def bench_probes(
    *,
    run: Path = Path("runs/demo"),
    split: Literal["validation", "test"] = "validation",
    json: Path | None = None,
) -> None:
    """Emotion and phones as small classifiers read them from the streams of a speech encoder.

    Takes a minute.

    Args:
        run: A run folder, of which the speech encoder is taken.
        split: Where they are measured; nothing should be chosen by `test`.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_probes(run, split), json)


def bench_hacking(
    *,
    run: Path = Path("runs/demo"),
    seeds: tuple[int, ...] = (0, 1, 2),
    iterations: int = 24,
    out: Path | None = None,
    json: Path | None = None,
) -> None:
    """Planted reward hacks that alarms catch in time, their lead, ROC and false alarms; minutes.

    Each reward, with a hole or honest, is climbed from the clone by REINFORCE.

    Args:
        run: A run folder with a clone and a reward model.
        seeds: Of training, such as `--seeds 0 1 2`; each reward is climbed once per seed.
        iterations: Of each climb.
        out: A folder that keeps every climb, figures and the table `hacking.md`: what is finished
            there is not climbed again. [default: RUN/hacking]
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_hacking(run, seeds, iterations, out), json)


def bench_rl(
    *,
    env: str = "ESARM-Short-v0",
    algorithms: tuple[str, ...] = (),
    timings: tuple[Literal["chunk", "terminal"], ...] = ("chunk", "terminal"),
    steps: int = 200_000,
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    reward: str | None = None,
    split: Literal["validation", "test"] = "test",
    out: Path = Path("runs/bench-rl"),
    json: Path | None = None,
) -> None:
    """Normalised return of every algorithm that runs on an environment, over tokens and time.

    Stock SB3, sb3-contrib (extra `contrib`), a single-file PPO and our sequence trainers; a minute
    or two each. 0 is random tokens, 1 recordings through the tokenizer.

    Args:
        env: An environment of ours.
        algorithms: Some of them, such as `--algorithms ppo sequence-ppo`; by default all.
        timings: Reward by chunk, at the end, or both.
        steps: Tokens of each training.
        seeds: Of training, such as `--seeds 0 1 2`.
        reward: Another one than the environment's own.
        split: Where policies are measured; nothing should be chosen by `test`.
        out: A folder that keeps a CSV file of each training, the table `rl.md`, and a plot (extra
            `plots`): what is finished there is not trained again.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settings = {"env": env, "timings": timings, "steps": steps, "seeds": seeds, "split": split}
    write_json(_rl({**settings, "reward": reward}, algorithms, out), json)


def bench_metrics(*, json: Path | None = None) -> None:
    """Speed of all metrics on 1,000 utterances of 3 s.

    Args:
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_speed("metrics"), json)


def bench_pictures(*, bars: bool = False, json: Path | None = None) -> None:
    """Speed of drawing the head for a video, one core.

    Args:
        bars: For developers: beside our own reference figures.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_speed("pictures", bars=bars), json)


def bench_synthetic(*, json: Path | None = None) -> None:
    """Speed of making a synthetic corpus and its features, one core.

    Args:
        json: Also write the figures to this file.
    """
    check_json_target(json)
    write_json(_speed("synthetic"), json)


BENCHES: dict[str, Callable[..., None]] = {
    "env": bench_env,
    "agents": bench_agents,
    "peers": bench_peers,
    "prior": bench_prior,
    "probes": bench_probes,
    "hacking": bench_hacking,
    "rl": bench_rl,
    "metrics": bench_metrics,
    "pictures": bench_pictures,
    "synthetic": bench_synthetic,
}


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


def _profile(threads: int) -> dict[str, Any]:
    from train.bench.agents.cases import Case
    from train.bench.agents.profile import profile_rollout, render_profile

    figures = profile_rollout(Case("ours", 128, 16), threads=threads or os.cpu_count() or 1)
    print(render_profile(figures))
    return figures


def _prior(
    run: Path | None, corpus: str | None, sweep: tuple[str, ...], out: Path
) -> dict[str, Any]:
    from train.bench.prior import SWEEP, render
    from train.bench.prior import bench_prior as measure

    figures = measure(run, corpus=corpus, sweep=sweep or SWEEP, folder=out)
    print(render(figures))
    return figures


def _probes(run: Path, split: Literal["validation", "test"]) -> dict[str, Any]:
    from train.bench.probes import bench_probes as measure
    from train.bench.probes import render

    figures = measure(run, split=split)
    print(render(figures))
    return figures


def _hacking(
    run: Path, seeds: tuple[int, ...], iterations: int, out: Path | None
) -> dict[str, Any]:
    from train.bench.hacking.bench import bench_hacking as measure
    from train.bench.hacking.bench import render
    from train.bench.hacking.climbs import HackingConfig
    from train.run.run_folder import RunFolder

    config = HackingConfig(seeds=seeds, iterations=iterations)
    figures = measure(RunFolder.open(run), config, folder=out or run / "hacking")
    print(render(figures))
    return figures


def _rl(settings: dict[str, Any], algorithms: tuple[str, ...], out: Path) -> dict[str, Any]:
    from train.bench.rl.benchmark import RLConfig
    from train.bench.rl.benchmark import bench_rl as measure
    from train.bench.rl.figures import render

    if algorithms:
        settings = {**settings, "algorithms": algorithms}
    config = RLConfig(**settings)
    figures = measure(config, folder=out)
    print(render(figures))
    return figures


def _peers(run: Path) -> dict[str, Any]:
    from esarm_env.metrics import variant_label
    from train.bench.peers import compare_with_peers
    from train.run.run_folder import RunFolder

    figures = compare_with_peers(RunFolder.open(run))
    print(f"{variant_label('lips')}, {figures['utterances']} test utterances, 95 % intervals")
    for name, (mean, low, high) in figures["lve_mm"].items():
        print(f"  {name}: {mean:.2f} [{low:.2f}, {high:.2f}]")
    for name, saving in figures["less_lve"].items():
        mean, low, high = saving["difference_mm"]
        share = f"{abs(saving['share']):.0%} {'less' if saving['share'] >= 0 else 'more'}"
        print(f"{name}: {share}, {mean:+.2f} [{low:+.2f}, {high:+.2f}] mm")
    return figures


def _speed(what: str, **options: bool) -> dict[str, Any]:
    from train.bench.speed import time_metrics, time_pictures, time_synthetic

    timed: dict[str, Callable[[], dict[str, Any]]]
    timed = {"metrics": time_metrics, "pictures": time_pictures, "synthetic": time_synthetic}
    figures: dict[str, Any] = timed[what](**options)
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures

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


def command_bench(
    what: Annotated[
        Literal["env", "agents", "peers", "prior", "probes", "metrics", "pictures", "synthetic"],
        tyro.conf.Positional,
    ],
    /,
    *,
    run: Path | None = None,
    corpus: str | None = None,
    sweep: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    out: Path = Path("runs/bench-prior"),
    split: Literal["validation", "test"] = "validation",
    json: Path | None = None,
    quick: bool = False,
    profile: bool = False,
    threads: int = 0,
    device: str = "cpu",
    bf16: bool = False,
    compile: bool = False,
    cuda_graphs: bool = False,
) -> None:
    """Measure a finished run beside its peers, or how fast things are here.

    Args:
        what: `env`: steps per second and memory of the environment, beside Gymnasium's and SB3's
            vector environments over it; takes two or three minutes. `agents`: tokens per second and
            memory of our trainers, beside stock SB3, sb3-contrib (extra `contrib`) and GPT-2; takes
            many minutes. `peers`: lip error (LVE) on the
            test frames, policies against the rule-based `openfacefx` in loudness mode (extra
            `peers`). `prior`: floor, tokens and bits per second, codes in use, and speed of motion
            priors of several settings, trained here; takes a minute or two each. `probes`: emotion
            and phones as small classifiers read them from the streams of a run's speech encoder;
            takes a minute. `metrics`: all metrics on 1,000 utterances of 3 s. `pictures`: drawing
            the head for a video, one core. `synthetic`: making a synthetic corpus and its
            features, one core.
        run: A run folder. `peers` takes its clone [default there: runs/demo], `env` its task and
            reward [default there: those that ship with the package], `prior` its corpus and
            settings [default there: those of the preset `demo`], `probes` its speech encoder
            [default there: runs/demo].
        corpus: Of `prior`, without a run: a corpus by name or folder.
        sweep: Of `prior`, a setting such as "mouth_codebooks=4 n_tokens=256"; give the option again
            for more. By default a dozen.
        out: Of `prior`, a folder that keeps weights, figures and the table `prior.md`: what is
            finished there is not trained again.
        split: Of `probes`, where they are measured; nothing should be chosen by `test`.
        json: Also write the figures to this file.
        quick: Of `agents`, only 64 and 128 tokens, 16 episodes; takes a few minutes.
        profile: Of `agents`, instead of all that, where the time of our roll-out goes.
        threads: Of `agents`, CPU threads of torch; 0 means one for each processor.
        device: Of `agents`, where all networks are: `cpu` or `cuda`.
        bf16: Of `agents`, measure ours once more in bfloat16; likewise the next two, all together.
        compile: With the update's forward pass compiled.
        cuda_graphs: With the roll-out's step recorded and replayed; needs `--device cuda`.
    """
    check_json_target(json)
    if what == "env":
        figures = _environment(run)
    elif what == "agents":
        options = {"bf16": bf16, "compile": compile, "cuda_graphs": cuda_graphs}
        figures = _profile(threads) if profile else _agents(quick, threads, device, options)
    elif what == "prior":
        figures = _prior(run, corpus, sweep, out)
    elif what == "probes":
        figures = _probes(run or Path("runs/demo"), split)
    elif what == "peers":
        figures = _peers(run or Path("runs/demo"))
    else:
        figures = _speed(what)
    write_json(figures, json)


def _environment(run: Path | None) -> dict[str, Any]:
    from train.bench.environment import bench_environment, render

    figures = bench_environment(run)
    print(render(figures))
    return figures


def _agents(quick: bool, threads: int, device: str, options: dict[str, bool]) -> dict[str, Any]:
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
    print(render(figures))
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
    from train.bench.prior import SWEEP, bench_prior, render

    figures = bench_prior(run, corpus=corpus, sweep=sweep or SWEEP, folder=out)
    print(render(figures))
    return figures


def _probes(run: Path, split: Literal["validation", "test"]) -> dict[str, Any]:
    from train.bench.probes import bench_probes, render

    figures = bench_probes(run, split=split)
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


def _speed(what: str) -> dict[str, Any]:
    from train.bench.speed import time_metrics, time_pictures, time_synthetic

    timed: dict[str, Callable[[], dict[str, Any]]]
    timed = {"metrics": time_metrics, "pictures": time_pictures, "synthetic": time_synthetic}
    figures: dict[str, Any] = timed[what]()
    for name, value in figures.items():
        print(f"{name}: {value}")
    return figures

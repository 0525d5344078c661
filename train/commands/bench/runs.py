"""Measurements of a run beside other people's work, and the list of all of `esarm bench`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from train.commands.bench.speed import (
    bench_agents,
    bench_env,
    bench_metrics,
    bench_pictures,
    bench_synthetic,
    bench_workers,
)
from train.commands.options import check_json_target, settle_corpus, write_json


def command_bench() -> None:
    """Measure a run beside others' work, or speed on this machine.

    Each measurement has options of its own: see `esarm bench --help`.
    """


def bench_peers(
    *, run: Path = Path("runs/demo"), corpus: str | None = None, json: Path | None = None
) -> None:
    """Compare a run's policies with the rule-based `openfacefx` by lip error (LVE).

    Measured on the test frames, with `openfacefx` driven by loudness; needs the extra `peers`.

    Args:
        run: A run folder whose policies are compared.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settle_corpus(run, corpus)
    write_json(_peers(run), json)


def bench_prior(
    *,
    run: Path | None = None,
    corpus: str | None = None,
    sweep: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    out: Path = Path("runs/bench-prior"),
    json: Path | None = None,
) -> None:
    """Train motion priors of several settings, and compare them.

    Measured are the error of recordings through the tokenizer, tokens and bits per second, codes in
    use, and speed.

    Args:
        run: A run folder whose corpus and settings are used; by default those of the preset `demo`.
        corpus: Without --run, a corpus by name or folder. Beside --run, where the run's recordings
            are now, if they have moved; it is noted for all runs on them.
        sweep: Settings of one prior, such as "mouth_codebooks=4 n_tokens=256"; give the option
            again for each further prior. By default a dozen are compared.
        out: Folder for weights, figures and the table `prior.md`. Priors that are finished there
            are not trained again.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    if run is not None:
        settle_corpus(run, corpus)
        corpus = None
    write_json(_prior(run, corpus, sweep, out), json)


def bench_probes(
    *,
    run: Path = Path("runs/demo"),
    split: Literal["validation", "test"] = "validation",
    corpus: str | None = None,
    json: Path | None = None,
) -> None:
    """Measure how well emotion and phones can be read from each stream of a speech encoder.

    Small classifiers are trained on the streams for content and for emotion.

    Args:
        run: A run folder whose speech encoder is measured.
        split: Utterances that the classifiers are measured on. Choose nothing by `test`.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settle_corpus(run, corpus)
    write_json(_probes(run, split), json)


def bench_hacking(
    *,
    run: Path = Path("runs/demo"),
    seeds: tuple[int, ...] = (0, 1, 2),
    iterations: int = 24,
    corpus: str | None = None,
    out: Path | None = None,
    json: Path | None = None,
) -> None:
    """Measure how early alarms notice reward hacking, and how often they are wrong.

    REINFORCE starts from the clone and maximises rewards with a planted hole, and honest ones. The
    table shows hacks caught in time, the lead in iterations, ROC curves and false alarms.

    Args:
        run: A run folder with a clone and a reward model.
        seeds: Seeds of training, such as `--seeds 0 1 2`; each reward is maximised once per seed.
        iterations: Iterations of REINFORCE on each reward.
        corpus: Where the run's recordings are now, if they have moved; it is noted for all runs on
            them. [default: where they were]
        out: Folder for curves, figures and the table `hacking.md`. What is finished there is not
            trained again. [default: RUN/hacking]
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settle_corpus(run, corpus)
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
    """Compare RL algorithms on one environment: return over tokens and wall time.

    Algorithms are those of Stable-Baselines3, sb3-contrib (extra `contrib`), a single-file PPO and
    our sequence trainers. Returns are normalised: 0 is what random tokens get, 1 what recordings
    through the tokenizer get.

    Args:
        env: Id of the environment, `ESARM-Short-v0` or `ESARM-v0`.
        algorithms: Algorithms to compare, such as `--algorithms ppo sequence-ppo`; by default all.
        timings: When the reward is paid: after each `chunk`, at the end (`terminal`), or one
            training with each.
        steps: Tokens (environment steps) that each training takes.
        seeds: Seeds of training, such as `--seeds 0 1 2`; each algorithm is trained once per seed.
        reward: Name of the reward to train on (see `esarm plugins`); by default the environment's.
        split: Utterances that policies are measured on. Choose nothing by `test`.
        out: Folder for a CSV file of each training, the table `rl.md`, and a plot (extra `plots`).
            Trainings that are finished there are not repeated.
        json: Also write the figures to this file.
    """
    check_json_target(json)
    settings = {"env": env, "timings": timings, "steps": steps, "seeds": seeds, "split": split}
    write_json(_rl({**settings, "reward": reward}, algorithms, out), json)


def bench_raters(
    *,
    run: Path = Path("runs/demo"),
    taste: str = "raised-brows",
    answers: tuple[int, ...] = (0, 50, 200, 800),
    noise: float = 0.2,
    iterations: int = 12,
    utterances: int = 200,
    out: Path | None = None,
    json: Path | None = None,
) -> None:
    """Study with simulated raters whether judging, reward and policy form a loop that works.

    Raters who judge by a hidden taste answer as people do in the studio. The run's reward is
    corrected by the first N answers, and PPO improves the clone on it. The same command goes on
    where it was interrupted.

    Args:
        run: A run folder that is finished up to `reward`.
        taste: `raised-brows`, `strong-brows` or `less-open-mouth`: what these raters like.
        answers: Numbers of answers N; each is an experiment `simulated-TASTE-N` of the run.
        noise: Share of the answers that are the wrong way round.
        iterations: Iterations of PPO on each reward.
        utterances: Training utterances in the pool.
        out: Folder of the page `simulated.md`, and of all it rests on. [default: RUN/simulated]
        json: Also write the figures to this file.
    """
    from train.bench.raters.study import bench_raters as measure

    check_json_target(json)
    sizes = {"taste": taste, "noise": noise, "iterations": iterations, "utterances": utterances}
    write_json(measure(run, sizes, answers, out), json)


BENCHES: dict[str, Callable[..., None]] = {
    "env": bench_env,
    "agents": bench_agents,
    "workers": bench_workers,
    "peers": bench_peers,
    "prior": bench_prior,
    "probes": bench_probes,
    "hacking": bench_hacking,
    "rl": bench_rl,
    "raters": bench_raters,
    "metrics": bench_metrics,
    "pictures": bench_pictures,
    "synthetic": bench_synthetic,
}


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

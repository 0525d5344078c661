"""`esarm overoptimise`: does a higher score still mean a better face?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from esarm_env.errors import InputError
from train.commands.options import use_threads, write_json

if TYPE_CHECKING:
    from train.overoptimise.settings import OveroptimiseConfig


def command_overoptimise(
    run: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    reward: str | None = None,
    kl_coefs: str | None = None,
    seeds: str | None = None,
    iterations: int | None = None,
    measure_every: int | None = None,
    utterances: int | None = None,
    samples: int | None = None,
    best_of: int | None = None,
    quick: bool = False,
    json: Path | None = None,
    threads: int = 0,
) -> None:
    """Climb a run's reward by PPO and by best-of-n, and watch what becomes of the true errors.

    Scores and LVE, EVE of held-out test utterances over the divergence from the clone (Gao et al.
    2022): `RUN/overoptimise/overoptimise.md`, `.csv`, `.json` and `.png`. About ten minutes on two
    cores for a demo run. Interrupt it at any time; the same command goes on where it stopped, and
    another strength or seed is added to those there are.

    Args:
        run: A run folder with clone and reward.
        reward: The proxy, any registered one. [default: the run's `improve.reward`]
        kl_coefs: Weights of the divergence, a curve each. [default: 0,0.03,0.1,0.3]
        seeds: Of training, so many curves of each strength. [default: 0]
        iterations: Of each curve, a multiple of `--measure-every`. [default: 60]
        measure_every: Iterations between two measurements. [default: 10]
        utterances: Test utterances measured on; 0 means all. [default: 32]
        samples: Sampled animations of each per measurement. [default: 4]
        best_of: Greatest n of best-of-n. [default: 64]
        quick: Two strengths, six iterations, eight utterances: to see that it works.
        json: Also write the figures to this file.
        threads: CPU threads of torch; 0 leaves the choice to torch.
    """
    from train.overoptimise.measuring import measure_all
    from train.overoptimise.report import write_results
    from train.overoptimise.settings import QUICK, OveroptimiseConfig
    from train.run_folder import RunFolder

    use_threads(threads)
    given: dict[str, Any] = {
        "kl_coefs": None if kl_coefs is None else _numbers(kl_coefs, float, name="kl_coefs"),
        "seeds": None if seeds is None else _numbers(seeds, int, name="seeds"),
        "iterations": iterations,
        "measure_every": measure_every,
        "utterances": utterances,
        "samples": samples,
        "best_of": best_of,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    config: OveroptimiseConfig = dataclasses.replace(
        QUICK if quick else OveroptimiseConfig(), **chosen
    )
    folder = RunFolder.open(run)
    proxy = reward or folder.config.improve.reward
    measured = measure_all(folder, config, reward=proxy)
    page, figures = write_results(folder, measured, config, reward=proxy)
    for kl_coef, found in figures["ppo"].items():
        print(f"KL {kl_coef}: {found['verdict']}")
    print(f"best of n: {figures['best_of_n']['verdict']}")
    print(f"report: {page}")
    write_json(figures, json)


def _numbers(text: str, kind: type, *, name: str) -> tuple[float, ...]:
    """Return numbers that stand between commas."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"`{name}` must be {what} between commas, got {text!r}") from error

"""What a round's policy is worth on the test utterances, against the clone of the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from esarm_env.opening import open_task
from reward.learned import open_learned
from train.policies import POLICY_FILE, load_policy
from train.rounds.folders import improved_policy
from train.run_folder import RunFolder
from train.stages.evaluate import animate_test, figures_of, on_head, summarise

MANNERS = ("greedy", "sampled")


def measure_round(current: RunFolder, run: RunFolder) -> dict[str, Any]:
    """Measure the score by the round's reward, LVE and EVE; paired differences from the clone."""
    return current.perform("evaluate", lambda _: _measure(current, run))


def _measure(current: RunFolder, run: RunFolder) -> dict[str, Any]:
    config = run.config.evaluate
    task = on_head(open_task(current.path), config.head)
    learned = open_learned(task, current.path)
    files: dict[str, Path] = {
        "clone": run.stage("clone") / POLICY_FILE,
        "policy": improved_policy(current),
    }
    rows = {}
    for name, file in files.items():
        model = load_policy(file)
        sampled = [
            animate_test(run, task, model, temperature=1.0, sample=number)
            for number in range(config.samples)
        ]
        rows[name, "greedy"] = figures_of(task, learned, [animate_test(run, task, model)])
        rows[name, "sampled"] = figures_of(task, learned, sampled)
    paired = {
        manner: {
            key: value - rows["clone", manner][key] for key, value in rows["policy", manner].items()
        }
        for manner in MANNERS
    }
    return {
        "utterances": len(task.corpus.split("test")),
        "rows": {
            f"{name}, {manner}": summarise(figures, config)
            for (name, manner), figures in rows.items()
        },
        "against_clone": {manner: summarise(figures, config) for manner, figures in paired.items()},
    }


def round_figures(rounds: list[RunFolder]) -> list[dict[str, dict[str, list[float | None]]]]:
    """Return the differences from the clone of each round, greedy and sampled."""
    first, *later = rounds
    name = first.config.improve.algorithms[0]
    against = first.summary("evaluate")["against_clone"]
    figures = [{manner: against[f"{name}, {manner}"] for manner in MANNERS}]
    return figures + [current.summary("evaluate")["against_clone"] for current in later]

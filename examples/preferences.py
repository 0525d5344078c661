"""A reward model from people's choices: `python examples/preferences.py preferences.jsonl`.

A line of the file names two animations of an utterance, and which one a rater liked better. Where
there is no file, a rater who counts millimetres is asked first, so that the script runs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tyro

import reward
from agents import load_policy, roll_out_with
from esarm_env import open_task


def ask(task: Any, clone: Any, file: Path, utterances: np.ndarray) -> None:
    """Write two animations of each utterance, one with random tokens in it, and which is liked."""
    (file.parent / "shown").mkdir(parents=True, exist_ok=True)
    for index in utterances:
        made = reward.collect(clone, task, np.array([index]), epsilons=(0.02, 0.5), seed=0)
        motions, name = reward.motions_of(made, task), task.corpus.records[index].id
        shown = []
        for letter, motion in zip("ab", motions, strict=True):
            np.save(file.parent / f"shown/{name}-{letter}.npy", motion)
            digest = reward.motion_digest(motion)  # tells later whether it is still what was shown
            shown.append(reward.RatedAnimation(f"shown/{name}-{letter}.npy", digest))
        errors = task.errors_of_motion(motions, np.array([index, index]))
        better = "ab"[int(np.argmin(errors["lve"] + errors["eve"]))]
        judged = reward.Preference(name, *shown, better, "ruler", "2026-01-01T12:00:00")
        reward.add_preference(judged, file)


def main(
    file: Path = Path("runs/preferences/preferences.jsonl"),
    /,
    *,
    utterances: int = 80,  # that the ruler is asked about
    epochs: int = 20,
    seed: int = 0,
    task: tyro.conf.Suppress[Any] = None,
    clone: tyro.conf.Suppress[Any] = None,
) -> float:
    """Train on three quarters of the judged utterances; say how many others it ranks right."""
    task = task or open_task()
    if not file.exists():
        policy = roll_out_with(clone or load_policy(), task)
        ask(task, policy, file, task.corpus.split("train")[:utterances])
    judged, problems = reward.read_preferences(file)
    held_out = set(sorted({each.utterance for each in judged})[::4])
    parts: list[list[reward.Preference]] = [[], []]
    for each in judged:
        parts[each.utterance in held_out].append(each)
    train, rest = (reward.pairs_of_preferences(p, task, folder=file.parent) for p in parts)
    for problem in (*problems, *train.problems, *rest.problems):
        print(f"left out: {problem}")
    sources = {"train": train.source, "validation": rest.source}
    settings = reward.RewardConfig(epochs=epochs, learning_rate=2e-3)
    trainer = reward.PairTrainer(task, **sources, config=settings, seed=seed)
    right = [trainer.advance()["validation_accuracy"] for _ in range(epochs)][-1]
    trainer.finish().save(file.parent / "reward.safetensors")
    print(f"{len(judged)} judgements; of the {len(rest.source.pairs)} held out, {right:.0%} right")
    print(f'to train on it: reward="learned:{file.parent / "reward.safetensors"}"')
    return right


if __name__ == "__main__":
    tyro.cli(main)

"""What a shared task scores: `python tests/shared_scores.py SOURCE [--corpus FOLDER]`.

`SOURCE` is a run, an export or `hf://user/name`. Printed is a list of numbers in JSON: returns of
episodes that its policy plays by its most likely tokens, then of episodes of fixed random tokens,
each also as the reward scores all of them at once. Two machines that print the same have the same
task, policy and reward; `--like FILE` compares with what was printed elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import gymnasium
import numpy as np

import esarm_env  # noqa: F401  # registers ESARM-v0
from agents import MotionPolicy

TOLERANCE = 1e-6
SPLIT = "test"


def scores_of(source: str, corpus: str | None, *, episodes: int = 3) -> list[float]:
    """Return the numbers.

    Args:
        source: A run, an export or an address on the Hub.
        corpus: Recordings, where they do not come with it.
        episodes: Of either kind.
    """
    env = gymnasium.make("ESARM-v0", run=source, corpus=corpus, split=SPLIT)
    policy = MotionPolicy.from_pretrained(source, env, policy_kwargs={"max_length": 100_000})
    rng, scores = np.random.default_rng(0), []
    for number in range(2 * episodes):
        obs, _ = env.reset(seed=number)
        state, ended, reward = None, False, 0.0
        while not ended:
            if number < episodes:
                action, state = policy.predict(obs, state, deterministic=True)
            else:
                action = rng.integers(env.action_space.n)
            obs, reward, ended, _, info = env.step(action)
        scores += [
            float(reward),
            *(float(info[key]) for key in ("lve_mm", "eve_mm") if key in info),
        ]
    return scores


def main() -> None:
    """Print the numbers, and compare them where there are others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--corpus")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--like", type=Path)
    asked = parser.parse_args()
    scores = scores_of(asked.source, asked.corpus, episodes=asked.episodes)
    print(json.dumps(scores))
    if asked.like is not None:
        others = json.loads(asked.like.read_text())
        off = float(np.nanmax(np.abs(np.array(scores) - np.array(others))))
        print(f"largest difference: {off:.1e}", file=sys.stderr)
        sys.exit(0 if len(others) == len(scores) and off <= TOLERANCE else 1)


if __name__ == "__main__":
    main()

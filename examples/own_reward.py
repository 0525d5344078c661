"""A reward of your own, in a sum with ours: `python examples/own_reward.py --weight 100`.

The table shows each term before its weight, and the true errors that the smile costs.
"""

from typing import Any

import numpy as np
import tyro

from agents import SequencePPO
from esarm_env import (
    Evaluation,
    SpeechAnimationEnv,
    Trajectories,
    evaluate,
    make_evaluation_env,
    register_reward,
)
from esarm_env.face import ARKIT_NAMES

CORNERS = [ARKIT_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]


class Smile:
    """How far the corners of the mouth are up, 0 to 1, in the mean over the animation."""

    needs_ground_truth = False

    def __init__(self, task: Any, run: Any) -> None:
        self.task = task  # an `AnimationTask`: decodes tokens; knows audio, head and corpus

    def score(self, trajectories: Trajectories) -> np.ndarray:
        """Return the scores (N,) of N finished animations."""
        motions = self.task.decode_chunks(trajectories)  # each (T, 52)
        return np.array([motion[:, CORNERS].mean() for motion in motions])


def main(
    timesteps: int = 12_000,
    *,
    weight: float = 100.0,
    reward: str = "learned",  # beside it
    clone: str = "shipped",  # or a policy file, a run, an export
    seed: int = 0,
    **env_kwargs: Any,
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens on the sum; print how validation utterances changed."""
    register_reward("smile", Smile, replace=True)
    env_kwargs |= {"reward": {reward: 1.0, "smile": weight}}
    held_out = make_evaluation_env(**env_kwargs)
    env = SpeechAnimationEnv(**env_kwargs)
    settings: dict[str, Any] = {"n_episodes": 32, "samples_per_utterance": 4, "seed": seed}
    model = SequencePPO.from_clone(clone, env, learning_rate=1e-3, **settings)
    before = evaluate(model.predict, held_out)
    model.learn(timesteps)
    print(before.compare(after := evaluate(model.predict, held_out)))
    return before, after


if __name__ == "__main__":
    tyro.cli(main)

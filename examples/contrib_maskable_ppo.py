"""PPO that never tries a masked token (MaskablePPO of sb3-contrib)."""

from typing import Any

import numpy as np
import tyro
from sb3_contrib import MaskablePPO

from esarm_env.core.types import BoolArray
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.evaluation import Evaluation, evaluate, make_evaluation_env
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask


def often_demonstrated(task: AnimationTask) -> BoolArray:
    """Return the quarter of the tokens that recordings use most, per slot of a chunk, (S, K)."""
    counts = np.zeros((task.tokens_per_chunk, task.n_tokens))
    for utterance in task.corpus.split("train"):
        tokens = task.recorded_tokens(int(utterance))
        np.add.at(counts, (np.arange(len(tokens)) % task.tokens_per_chunk, tokens), 1)
    return counts >= np.quantile(counts, 0.75, axis=1, keepdims=True)


def main(
    timesteps: int = 200_000, *, n_envs: int = 8, seed: int = 0, **env_kwargs: Any
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens; evaluate on validation utterances before and after."""
    task = SpeechAnimationEnv(**env_kwargs).sequence_task
    env_kwargs |= {"observation": "flat", "action_mask": often_demonstrated(task)}
    env = make_sb3_vec_env(n_envs, metrics=False, **env_kwargs)
    held_out: Any = make_evaluation_env(**env_kwargs)
    # The reward comes once, at the end: undiscounted, so that every token sees all of it.
    # 1024 steps hold ten whole episodes and one that is cut, which the value estimate completes.
    model = MaskablePPO(
        "MlpPolicy",
        env,
        n_steps=1024,
        batch_size=512,
        n_epochs=4,
        learning_rate=2e-3,
        gamma=1.0,
        gae_lambda=1.0,
        policy_kwargs={"net_arch": [512]},
        seed=seed,
        device="cpu",
    )
    masks = held_out.unwrapped.action_masks
    before = evaluate(lambda obs, *_: model.predict(obs, action_masks=masks()), held_out)
    model.learn(timesteps)
    after = evaluate(lambda obs, *_: model.predict(obs, action_masks=masks()), held_out)
    print(before.compare(after))
    return before, after


if __name__ == "__main__":
    tyro.cli(main)

"""DQN of Stable-Baselines3 on the flat observation."""

from functools import partial
from typing import Any

import tyro
from stable_baselines3 import DQN

from esarm_env.evaluation import Evaluation, evaluate, make_evaluation_env
from esarm_env.sb3 import make_sb3_vec_env


def main(
    timesteps: int = 100_000, *, n_envs: int = 16, seed: int = 0, **env_kwargs: Any
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens; evaluate on validation utterances before and after.

    Args:
        timesteps: Environment steps to train for; an episode takes about 90.
        n_envs: Episodes at once.
        seed: Of the weights, the utterances and the tokens.
        env_kwargs: Of the environment, for instance `reward="lve"`.
    """
    env_kwargs["observation"] = "flat"
    env = make_sb3_vec_env(n_envs, metrics=False, **env_kwargs)
    held_out = make_evaluation_env(**env_kwargs)
    # Targets look 8 steps ahead: a reward 90 steps away takes long to get back step by step.
    model = DQN(
        "MlpPolicy",
        env,
        n_steps=8,
        gamma=1.0,
        learning_rate=1e-3,
        buffer_size=50_000,
        batch_size=128,
        train_freq=1,
        target_update_interval=1_000,
        exploration_fraction=0.5,
        seed=seed,
    )
    before = evaluate(partial(model.predict, deterministic=True), held_out)
    model.learn(timesteps)
    after = evaluate(partial(model.predict, deterministic=True), held_out)
    print(before.compare(after))
    return before, after


if __name__ == "__main__":
    tyro.cli(main)

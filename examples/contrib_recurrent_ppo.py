"""PPO with an LSTM (RecurrentPPO of sb3-contrib) on the slim observation, a dictionary."""

from typing import Any

import tyro
from sb3_contrib import RecurrentPPO

from esarm_env.evaluation import Evaluation, evaluate, make_evaluation_env
from esarm_env.sb3 import make_sb3_vec_env


def main(
    timesteps: int = 50_000, *, n_envs: int = 8, seed: int = 0, **env_kwargs: Any
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens; evaluate on validation utterances before and after.

    Args:
        timesteps: Environment steps to train for; an episode takes about 90.
        n_envs: Episodes at once.
        seed: Of the weights, the utterances and the tokens.
        env_kwargs: Of the environment, for instance `reward="lve"`.
    """
    env = make_sb3_vec_env(n_envs, metrics=False, **env_kwargs)
    held_out = make_evaluation_env(**env_kwargs)
    # The reward comes once, at the end: undiscounted, so that every token sees all of it.
    # 512 steps hold five whole episodes and one that is cut, which the value estimate completes.
    model = RecurrentPPO(
        "MultiInputLstmPolicy",
        env,
        n_steps=512,
        batch_size=1024,
        n_epochs=4,
        learning_rate=2e-3,
        gamma=1.0,
        gae_lambda=1.0,
        policy_kwargs={"lstm_hidden_size": 64},
        seed=seed,
        device="cpu",
    )
    before = evaluate(model.predict, held_out)
    model.learn(timesteps)
    after = evaluate(model.predict, held_out)
    print(before.compare(after))
    return before, after


if __name__ == "__main__":
    tyro.cli(main)

"""Stable-Baselines3 and sb3-contrib by name: `python examples/sb3.py --algo dqn --reward lve`."""

from importlib import import_module
from typing import Any, Literal

import tyro
from typing_extensions import Unpack

from esarm_env import EnvOptions, Evaluation, evaluate, make_evaluation_env, make_sb3_vec_env

# The reward comes once, at the end: undiscounted, so that every token sees all of it.
ONCE = {"gamma": 1.0, "gae_lambda": 1.0, "device": "cpu"}
# 1024 steps hold ten whole episodes and one that is cut, which the value estimate completes.
PPO = {"n_steps": 1024, "batch_size": 512, "n_epochs": 4, "learning_rate": 2e-3, **ONCE}
# Targets look 8 steps ahead: a reward 90 steps away takes long to get back step by step.
DQN = {"n_steps": 8, "gamma": 1.0, "learning_rate": 1e-3, "buffer_size": 50_000, "batch_size": 128}
DQN |= {"train_freq": 1, "target_update_interval": 1_000, "exploration_fraction": 0.5}
WIDE, DEEP = ({"policy_kwargs": {"net_arch": layers}} for layers in ([512], [128, 128]))
LSTM = {"policy_kwargs": {"lstm_hidden_size": 64}}
Algorithm = Literal["ppo", "a2c", "dqn", "recurrent_ppo", "trpo", "maskable_ppo", "qrdqn"]
SETTINGS: dict[str, tuple[str, str, int, dict[str, Any]]] = {  # library, class, environments, rest
    "ppo": ("stable_baselines3", "PPO", 8, {**PPO, **WIDE}),
    "a2c": ("stable_baselines3", "A2C", 64, {"n_steps": 16, **ONCE, **DEEP}),
    "dqn": ("stable_baselines3", "DQN", 16, DQN),
    "recurrent_ppo": ("sb3_contrib", "RecurrentPPO", 8, {**PPO, **LSTM}),
    "trpo": ("sb3_contrib", "TRPO", 8, {"n_steps": 1024, "batch_size": 512, **ONCE, **DEEP}),
    "maskable_ppo": ("sb3_contrib", "MaskablePPO", 8, {**PPO, **WIDE}),
    "qrdqn": ("sb3_contrib", "QRDQN", 16, {**DQN, "policy_kwargs": {"n_quantiles": 25}}),
}


def main(
    *,
    algo: Algorithm = "ppo",
    timesteps: int = 100_000,  # an episode takes about 90
    n_envs: int | None = None,  # by default what suits the algorithm
    seed: int = 0,
    **env_kwargs: Unpack[EnvOptions],
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens; evaluate on validation utterances before and after."""
    library, name, some, settings = SETTINGS[algo]
    lstm, mask = algo == "recurrent_ppo", "demonstrated" if algo == "maskable_ppo" else None
    policy, observation = ("MultiInputLstmPolicy", "slim") if lstm else ("MlpPolicy", "flat")
    kwargs: Any = {**env_kwargs, "observation": observation, "action_mask": mask}
    env = make_sb3_vec_env(n_envs or some, metrics=False, **kwargs)
    held_out: Any = make_evaluation_env(**kwargs)
    model = getattr(import_module(library), name)(policy, env, seed=seed, **settings)

    def act(obs: Any, state: Any, start: Any) -> tuple[Any, Any]:
        more = {"action_masks": held_out.unwrapped.action_masks()} if mask else {}
        return model.predict(obs, state, start, deterministic=algo in ("dqn", "qrdqn"), **more)

    before = evaluate(act, held_out)
    model.learn(timesteps)
    print(before.compare(after := evaluate(act, held_out)))
    return before, after


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))

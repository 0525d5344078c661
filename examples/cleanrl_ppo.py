"""PPO in one file (Schulman et al. 2017, arXiv:1707.06347): torch and the native vector env."""

import gymnasium
import numpy as np
import torch
import tyro
from torch.distributions import Categorical
from torch.nn import Linear, Sequential, Tanh
from typing_extensions import Any, Unpack

from esarm_env import EnvOptions, Evaluation, evaluate, make_evaluation_env


def main(
    timesteps: int = 200_000, *, seed: int = 0, **env_kwargs: Unpack[EnvOptions]
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens; evaluate on validation utterances before and after."""
    settings: Any = {**env_kwargs, "observation": "flat"}
    held_out = make_evaluation_env(**settings)
    envs: Any = gymnasium.make_vec("ESARM-v0", 64, metrics=False, **settings)
    n_in, n_tokens = envs.single_observation_space.shape[0], envs.single_action_space.n
    torch.manual_seed(seed)
    actor, critic = (Sequential(Linear(n_in, 512), Tanh(), Linear(512, n)) for n in (n_tokens, 1))
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=2e-3)

    def act(obs: np.ndarray, *_: Any) -> tuple[np.ndarray, None]:
        return Categorical(logits=actor(torch.from_numpy(obs))).sample().numpy(), None

    before, n_steps = evaluate(act, held_out), 0
    while n_steps < timesteps:
        # Whole episodes, one of each environment: the score at the end is the return of each token.
        obs, _ = envs.reset(seed=None if n_steps else seed)
        going, score, steps = np.ones(64, dtype=bool), np.zeros(64), []
        while going.any():
            action, _ = act(obs)
            steps.append((obs[going], action[going], going.nonzero()[0]))
            obs, paid, terminated, _, _ = envs.step(action)
            score, going = score + paid * going, going & ~terminated
        b_obs, b_action, b_env = (torch.tensor(np.concatenate(b)) for b in zip(*steps, strict=True))
        b_return = torch.tensor(score, dtype=torch.float32)[b_env]
        with torch.no_grad():
            b_log_prob = Categorical(logits=actor(b_obs)).log_prob(b_action)
            error = b_return - critic(b_obs)[:, 0]
            b_advantage = (error - error.mean()) / (error.std() + 1e-8)
        for rows in [rows for _ in range(4) for rows in torch.randperm(len(b_obs)).split(512)]:
            log_prob = Categorical(logits=actor(b_obs[rows])).log_prob(b_action[rows])
            ratio, advantage = (log_prob - b_log_prob[rows]).exp(), b_advantage[rows]
            gain = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            error = critic(b_obs[rows])[:, 0] - b_return[rows]
            optimizer.zero_grad()
            (error.square().mean() - gain.mean()).backward()
            optimizer.step()
        n_steps += len(b_obs)
    print(before.compare(after := evaluate(act, held_out)))
    return before, after


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))

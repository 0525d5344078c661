"""PPO of TorchRL over its `GymEnv`, on the flat observation."""

import torch
import tyro
from tensordict.nn import TensorDictModule
from torch.distributions import Categorical
from torch.nn import Linear, Sequential, Tanh
from torchrl.collectors import Collector
from torchrl.envs import GymEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE
from typing_extensions import Any, Unpack

from esarm_env import EnvOptions, Evaluation, evaluate, make_evaluation_env


def main(
    timesteps: int = 51_200, *, seed: int = 0, **env_kwargs: Unpack[EnvOptions]
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens; evaluate on validation utterances before and after."""
    torch.manual_seed(seed)
    settings: Any = {**env_kwargs, "observation": "flat"}
    held_out = make_evaluation_env(**settings)
    env = GymEnv("ESARM-v0", categorical_action_encoding=True, metrics=False, **settings)
    env.set_seed(seed)
    n_inputs, n_tokens = env.observation_spec["observation"].shape[-1], env.action_spec.n
    logits = Sequential(Linear(n_inputs, 512), Tanh(), Linear(512, n_tokens))
    actor = ProbabilisticActor(
        TensorDictModule(logits, in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=Categorical,
        return_log_prob=True,
    )
    critic = ValueOperator(Sequential(Linear(n_inputs, 512), Tanh(), Linear(512, 1)))
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.0, normalize_advantage=True)
    optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)
    advantage = GAE(gamma=1.0, lmbda=1.0, value_network=critic)

    def act(obs: Any, *_: Any) -> tuple[Any, None]:
        return Categorical(logits=logits(torch.from_numpy(obs))).sample().numpy(), None

    before = evaluate(act, held_out)
    # Nothing is kept between steps, so the environment needs no transforms for the policy.
    sizes = {"frames_per_batch": 2048, "total_frames": timesteps}
    for batch in Collector(env, actor, auto_register_policy_transforms=False, **sizes):
        advantage(batch)
        for rows in [rows for _ in range(4) for rows in torch.randperm(len(batch)).split(512)]:
            losses = loss(batch[rows])
            optimizer.zero_grad()
            (losses["loss_objective"] + losses["loss_critic"]).backward()
            optimizer.step()
    after = evaluate(act, held_out)
    print(before.compare(after))
    return before, after


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))

"""An algorithm of your own is a loss: `python examples/own_algorithm.py --reward accuracy`.

Advantage-weighted regression (Peng et al. 2019, arXiv:1910.00177) imitates its own animations, the
better ones more. Roll-outs, divergence from the clone, logs and checkpoints come with the class.
"""

from typing import Any

import torch
import tyro
from torch import Tensor

from agents import EpisodeBatch, SequenceAlgorithm
from esarm_env import Evaluation, SpeechAnimationEnv, evaluate, make_evaluation_env


class AdvantageWeightedRegression(SequenceAlgorithm):
    """Cross-entropy on own samples, weighted by how much better than their siblings they are."""

    def policy_loss(self, batch: EpisodeBatch, log_probs: Tensor) -> Tensor:
        """Return the loss of every token, (episodes, tokens)."""
        advantages = torch.as_tensor(batch.advantages, device=log_probs.device)
        return -advantages.exp().clamp(max=20.0) * log_probs


def main(
    timesteps: int = 12_000,
    *,
    reward: str = "learned",
    clone: str = "shipped",  # or a policy file, a run, an export
    seed: int = 0,
    **env_kwargs: Any,
) -> tuple[Evaluation, Evaluation]:
    """Train for `timesteps` tokens from the clone; print how validation utterances changed."""
    env = SpeechAnimationEnv(reward=reward, **env_kwargs)
    held_out = make_evaluation_env(reward=reward, **env_kwargs)
    model = AdvantageWeightedRegression.from_clone(
        clone, env, n_episodes=32, samples_per_utterance=4, seed=seed
    )
    before = evaluate(model.predict, held_out)
    model.learn(timesteps)
    print(before.compare(after := evaluate(model.predict, held_out)))
    return before, after


if __name__ == "__main__":
    tyro.cli(main)

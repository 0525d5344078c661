"""A reward model of your own, from automatic ranks: `python examples/own_reward_model.py`.

Noise makes an animation worse, so less of it ranks higher. Prints how often the model agrees on
validation utterances; then, as reward `learned:FILE` of an environment, its scores of each level.
"""

from pathlib import Path
from typing import Any

import gymnasium
import torch
import tyro
from torch import Tensor, nn

import reward
from agents import load_policy, roll_out_with
from esarm_env import open_task


class SmallNet(reward.RewardNet):
    """Looks at each chunk of speech and motion alone, and takes the mean."""

    def __init__(self, *, audio_dim: int, motion_dim: int, width: int = 64) -> None:
        super().__init__(audio_dim=audio_dim, motion_dim=motion_dim, width=width)
        read = nn.Linear(audio_dim + motion_dim, width)
        self.body = nn.Sequential(read, nn.GELU(), nn.Linear(width, 1))

    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return scores (B,) of audio (B, C, A) and motion (B, C, M)."""
        per_chunk = self.body(torch.cat([audio, motion], dim=2))[..., 0]  # (B, C)
        return self.mean_over_chunks(per_chunk, n_chunks)


def main(
    *, utterances: int = 40, epochs: int = 15, to: Path = Path("own_net.safetensors")
) -> float:
    """Train on so many `utterances`, write the file `to`, and use it."""
    task = open_task()
    clone, sources = roll_out_with(load_policy(), task), {}
    for split in ("train", "validation"):
        chosen = task.corpus.split(split)[:utterances]
        shown = reward.collect(clone, task, chosen, epsilons=(0.02, 0.25, 0.5, 1.0), seed=0)
        motions, pairs = reward.motions_of(shown, task), reward.RankedPairs(shown).all()
        sources[split] = reward.PairSource(shown.utterance, motions, pairs)
    settings = reward.RewardConfig(epochs=epochs, learning_rate=2e-3)
    trainer = reward.PairTrainer(task, **sources, model=SmallNet, config=settings, seed=0)
    for _ in range(epochs):
        row = trainer.advance()
    trainer.finish().save(to)
    print(f"pairs of validation ranked as their noise says: {row['validation_accuracy']:.3f}")
    env: Any = gymnasium.make("ESARM-v0", reward=f"learned:{to}").unwrapped
    made = shown.trajectories
    scores = env.score_tokens(made.utterance, made.tokens, made.lengths, made.condition)
    for level in shown.levels:
        print(f"{level:.0%} random tokens: {scores[shown.epsilon == level].mean():+.2f}")
    return float(row["validation_accuracy"])


if __name__ == "__main__":
    tyro.cli(main)

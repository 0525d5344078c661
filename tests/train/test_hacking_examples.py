"""The callback's two examples on the real environment: ours, and a stock algorithm."""

from __future__ import annotations

import numpy as np
from stable_baselines3 import PPO

from agents import HeldOut, RewardHackingCallback, SequencePPO
from agents.rollout.animation import animate_utterances
from agents.rollout.generation import Decoding
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.evaluation import evaluate, make_evaluation_env
from esarm_env.sb3 import make_sb3_vec_env
from reward.plugins.synchrony import SynchronyReward

NETWORK = {"n_layers": 1, "n_heads": 2, "width": 16, "dropout": 0.0}


class TwoMinds(SynchronyReward):
    """An ensemble in small: it agrees with itself."""

    def score_members(self, trajectories):
        return np.stack([self.score(trajectories)] * 2)


def test_the_sequence_algorithms_are_watched_on_the_task_of_their_environment(tiny_task):
    """`write`, `proxy`, `gold` and `members` must fit what the packages offer as it is."""
    reward = TwoMinds(tiny_task)
    env = SpeechAnimationEnv(task=tiny_task, reward=reward)
    task, rows = env.sequence_task, np.array([8, 9, 10, 11])

    def write(algorithm):
        sampled = Decoding(temperature=1.0)
        return animate_utterances(algorithm.model, task, rows, decoding=sampled, seed=0)

    held_out = HeldOut(
        write, proxy=env.reward_function.score, gold=task.errors, members=reward.score_members
    )
    callback = RewardHackingCallback(held_out, every=1)
    settings = {"n_episodes": 4, "samples_per_utterance": 2, "seed": 0, "learning_rate": 0.0}
    settings |= {"policy_kwargs": {"network": NETWORK}, "kl_coef": 0.0}
    model = SequencePPO("MotionPolicy", env, **settings)
    model.learn(1, callback=callback)
    first, second = callback.history
    assert set(first.gold) == {"lve", "eve"}
    np.testing.assert_array_equal(first.proxy, second.proxy)  # nothing was learned
    np.testing.assert_array_equal(first.disagreement, 0)
    assert not callback.alarms


def test_stock_algorithms_are_watched_by_playing_episodes(tiny_task):
    """The evaluation that prints results serves as it is."""
    watch_env = make_evaluation_env(2, task=tiny_task, reward="lve", observation="flat")
    held_out = HeldOut(
        lambda algorithm: evaluate(algorithm.predict, watch_env, utterances=[8, 9]).scores,
        proxy=lambda scores: scores["return"],
        gold=lambda scores: {name: scores[name] for name in ("lve", "eve")},
    )
    venv = make_sb3_vec_env(2, task=tiny_task, reward="lve", observation="flat")
    callback = RewardHackingCallback(held_out, every=1)
    model = PPO("MlpPolicy", venv, n_steps=64, batch_size=64, seed=0)
    model.learn(2 * 64, callback=callback)
    assert [measured.iteration for measured in callback.history] == [0, 1]
    for measured in callback.history:
        np.testing.assert_allclose(measured.proxy, -measured.gold["lve"], rtol=1e-5)

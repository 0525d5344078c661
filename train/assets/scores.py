"""Measurement of the reference scores (`esarm scores --measure`), on validation utterances.

What the task pays a policy that knows nothing, one that stock PPO trains, the clone that ships, and
the truth: `esarm_env.scores` reads what is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from agents.weights import load_policy
from esarm_env.core.shipped import shipped_run
from esarm_env.core.types import N_CHANNELS, Trajectories
from esarm_env.envs.registration import ESARM_ID
from esarm_env.envs.short import SHORT_ID
from esarm_env.evaluation import evaluate, make_evaluation_env
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.scores import COLUMNS, GREEDY_CLONE, RECORDED, measured_files
from esarm_env.task.episode_metrics import EVE, LVE
from reward.plugins.learned import open_learned
from train.bench.rl.scale import random_tokens
from train.stages.baselines import mean_face_motions

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask

SPLIT, PPO_TOKENS, SAMPLES, DIGITS = "validation", 200_000, 8, 4
_LEARNED = "learned"
# As `examples/sb3.py` and `esarm bench rl` have them: episodes at once, layers, and the rest.
_PPO: Mapping[str, tuple[int, int, Mapping[str, Any]]] = {
    ESARM_ID: (8, 512, {"n_steps": 1024, "batch_size": 512, "learning_rate": 2e-3}),
    SHORT_ID: (16, 256, {"n_steps": 126, "batch_size": 504, "learning_rate": 1e-3}),
}
# A reward at the end reaches the first token undiscounted; one by chunk is earned near its tokens.
_DISCOUNT = {ESARM_ID: 1.0, SHORT_ID: 0.9}

Columns = dict[str, "FloatArray"]  # by name of the column, (N,), one number an utterance


def measure_scores(
    *,
    env_ids: Sequence[str] = (ESARM_ID, SHORT_ID),
    ppo_tokens: int = PPO_TOKENS,
    seed: int = 0,
    note: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Return the tables of registered environments, for JSON.

    Args:
        env_ids: Of both, or of one.
        ppo_tokens: That stock PPO trains on; it takes nearly all of the time.
        seed: Of training, sampling and random tokens.
        note: Told what is measured next.
    """
    tables = {}
    for env_id in env_ids:
        note(f"{env_id}: stock PPO, {ppo_tokens:,} tokens")
        tables[env_id] = _table(env_id, ppo_tokens, seed)
    settings = {"ppo_tokens": ppo_tokens, "samples": SAMPLES, "seed": seed}
    return {"format": 1, "assets": measured_files(), **settings, "tables": tables}


def _table(env_id: str, ppo_tokens: int, seed: int) -> dict[str, Any]:
    envs = make_evaluation_env(env_id=env_id, split=SPLIT, observation="flat")
    base: Any = envs.unwrapped
    task, utterances, reward = base.sequence_task, base.utterances, base.reward_function

    def told(*written: Trajectories) -> Columns:
        each = [{"return": reward.score(rows), **task.errors(rows)} for rows in written]
        return {name: np.mean([row[name] for row in each], axis=0) for name in COLUMNS}

    def shown(motions: list[FloatArray]) -> Columns:
        return _of_motion(task, reward.name, utterances, motions)

    random = random_tokens(task, utterances, seed)
    rounds = len(random) // len(utterances)
    clone = load_policy()

    def by_clone(decoding: Decoding, sample: int = 0) -> Trajectories:
        return animate_utterances(
            clone, task, utterances, decoding=decoding, seed=seed, sample=sample
        )

    frames = task.n_frames[utterances].tolist()
    truth = [task.corpus[int(index)].motion for index in utterances]
    rows = {
        "random tokens": told(*(random[part::rounds] for part in range(rounds))),
        "a face at rest": shown([np.zeros((n, N_CHANNELS), np.float32) for n in frames]),
        "mean face of the emotion": shown(mean_face_motions(task, utterances)),
        f"PPO of Stable-Baselines3, {ppo_tokens:,} tokens": _stock_ppo(
            env_id, envs, tokens=ppo_tokens, seed=seed
        ),
        "clone, sampled": told(*(by_clone(Decoding(1.0), k) for k in range(SAMPLES))),
        GREEDY_CLONE: told(by_clone(Decoding())),
        "clone, expected distance": told(by_clone(Decoding(expected_distance=True))),
        RECORDED: told(task.recorded(utterances)),
        "recording": shown(truth),
    }
    above = rows[RECORDED]["return"] > rows[GREEDY_CLONE]["return"]
    return {
        "split": SPLIT,
        "n_utterances": len(utterances),
        "reward": reward.name,
        "rows": {name: _summary(columns) for name, columns in rows.items()},
        "recordings_above_greedy": int(above.sum()),
    }


def _of_motion(
    task: AnimationTask, reward: str, utterances: IntArray, motions: list[FloatArray]
) -> Columns:
    """Return the figures of motion that no tokens wrote; the reward is `learned` or `accuracy`."""
    longest = max(map(len, motions))
    padded = np.stack([np.pad(m, ((0, longest - len(m)), (0, 0)), mode="edge") for m in motions])
    errors = task.errors_of_motion(padded, utterances)
    if reward == _LEARNED:
        score = open_learned(task, shipped_run()).score_motion(utterances, motions)
    else:
        score = np.asarray(-(errors[LVE] + errors[EVE]) / 2, dtype=np.float32)
    return {"return": score, **errors}


def _stock_ppo(env_id: str, held_out: Any, *, tokens: int, seed: int) -> Columns:
    from stable_baselines3 import PPO

    n_envs, width, settings = _PPO[env_id]
    env = make_sb3_vec_env(n_envs, env_id=env_id, metrics=False, observation="flat")
    kwargs = {"policy_kwargs": {"net_arch": [width]}, "n_epochs": 4, "device": "cpu", **settings}
    share = _DISCOUNT[env_id]
    model = PPO("MlpPolicy", env, seed=seed, gamma=share, gae_lambda=share, **kwargs)
    scores = evaluate(model.learn(tokens).predict, held_out, seed=seed).scores
    return {name: np.asarray(scores[name], dtype=np.float32) for name in COLUMNS}


def _summary(columns: Columns) -> dict[str, list[float]]:
    """Return mean and standard error over the utterances of each column."""
    return {
        name: [
            round(float(np.mean(columns[name], dtype=np.float64)), DIGITS),
            round(float(np.std(columns[name], ddof=1) / np.sqrt(len(columns[name]))), DIGITS),
        ]
        for name in COLUMNS
    }

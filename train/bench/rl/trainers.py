"""Trainers of `esarm bench rl`: which algorithms, where they begin, and their settings.

Their settings were chosen on `ESARM-Short-v0` without looking at its test utterances;
`benchmarks/rl_zoo3/` holds the same for rl-zoo3.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import AutoresetMode

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.plugins import did_you_mean

if TYPE_CHECKING:
    from esarm_env.evaluation import Act

NOTHING, CLONE = "nothing", "clone"
CHUNK, TERMINAL = "chunk", "terminal"
TIMINGS = (CHUNK, TERMINAL)
SB3, CONTRIB, SINGLE, OURS = "stable_baselines3", "sb3_contrib", "single file", "esarm"
# A token is paid for within two chunks of six: .9 leaves out the noise of later ones.
_PPO: Mapping[str, Any] = {
    "n_steps": 126,
    "batch_size": 504,
    "n_epochs": 4,
    "learning_rate": 1e-3,
    "gamma": 0.9,
    "gae_lambda": 0.9,
}
_DQN: Mapping[str, Any] = {
    "n_steps": 6,
    "gamma": 0.9,
    "learning_rate": 5e-4,
    "buffer_size": 50_000,
    "batch_size": 128,
    "train_freq": 1,
    "target_update_interval": 1_000,
    "exploration_fraction": 0.3,
}
_WIDE: Mapping[str, Any] = {"policy_kwargs": {"net_arch": [256]}}
_CREDIT: Mapping[str, Any] = {
    "n_episodes": 64,
    "samples_per_utterance": 8,
    "learning_rate": 1e-3,
    "kl_coef": 0.0,
}
_SMALL: Mapping[str, Any] = {"width": 64, "n_layers": 1, "n_heads": 4, "dropout": 0.0}


@dataclass(frozen=True)
class Trainer:
    """An algorithm of the bench.

    Attributes:
        name: As `--algorithms` takes it.
        library: One of `SB3`, `CONTRIB`, `SINGLE`, `OURS`.
        kind: Class in the library.
        start: `NOTHING` or `CLONE`, the clone that ships with the package.
        n_envs: Episodes at once; 1 for ours, which write theirs without stepping.
        settings: Of the constructor.
        terminal: Settings that differ where the score comes once, at the end.
        note: What else should be said of it.
    """

    name: str
    library: str
    kind: str
    start: str
    n_envs: int
    settings: Mapping[str, Any]
    terminal: Mapping[str, Any]
    note: str = ""


_ONCE: Mapping[str, Any] = {"gamma": 1.0, "gae_lambda": 1.0}
_STOCK = [
    Trainer("ppo", SB3, "PPO", NOTHING, 16, {**_PPO, **_WIDE}, _ONCE),
    Trainer(
        "a2c",
        SB3,
        "A2C",
        NOTHING,
        64,
        {"n_steps": 6, "learning_rate": 7e-4, "gamma": 0.9, "gae_lambda": 0.9, **_WIDE},
        {**_ONCE, "n_steps": 42},
    ),
    Trainer("dqn", SB3, "DQN", NOTHING, 16, {**_DQN, **_WIDE}, {"gamma": 1.0}),
    Trainer(
        "recurrent-ppo",
        CONTRIB,
        "RecurrentPPO",
        NOTHING,
        16,
        {**_PPO, "policy_kwargs": {"lstm_hidden_size": 64, "net_arch": [64]}},
        _ONCE,
    ),
    Trainer(
        "trpo",
        CONTRIB,
        "TRPO",
        NOTHING,
        16,
        {"n_steps": 126, "batch_size": 504, "gamma": 0.9, "gae_lambda": 0.9, **_WIDE},
        _ONCE,
    ),
    Trainer(
        "qr-dqn",
        CONTRIB,
        "QRDQN",
        NOTHING,
        16,
        {**_DQN, "policy_kwargs": {"net_arch": [256], "n_quantiles": 25}},
        {"gamma": 1.0},
    ),
    Trainer(
        "maskable-ppo",
        CONTRIB,
        "MaskablePPO",
        NOTHING,
        16,
        {**_PPO, **_WIDE},
        _ONCE,
        note="never tries a token that no training recording has in its slot",
    ),
]
_SINGLE = Trainer("single-file-ppo", SINGLE, "SingleFilePPO", NOTHING, 16, _PPO, _ONCE)


def _ours(name: str, kind: str, **settings: Any) -> list[Trainer]:
    """Return one of our trainers, from nothing and from the clone."""
    chunk = {"credit": CHUNK, "stream_advantages": True}
    once = {"credit": TERMINAL, "stream_advantages": True}
    fresh = {**_CREDIT, **chunk, **settings, "policy_kwargs": {"network": dict(_SMALL)}}
    tuned = {**_CREDIT, **chunk, **settings, "learning_rate": 1e-4, "kl_coef": 0.01}
    return [
        Trainer(name, OURS, kind, NOTHING, 1, fresh, once),
        Trainer(f"{name}-clone", OURS, kind, CLONE, 1, tuned, once),
    ]


TRAINERS: dict[str, Trainer] = {
    each.name: each
    for each in (
        *_STOCK,
        _SINGLE,
        *_ours("sequence-ppo", "SequencePPO"),
        *_ours("sequence-reinforce", "SequenceReinforce"),
        *_ours("sequence-grpo", "SequenceGRPO"),
    )
}
EVERY = tuple(TRAINERS)


def find_trainer(name: str) -> Trainer:
    """Return the trainer called `name`.

    Raises:
        InputError: If there is none.
    """
    if name not in TRAINERS:
        hint = did_you_mean(name, EVERY)
        raise InputError(f"`algorithms` must be among {', '.join(EVERY)}, got {name!r}{hint}")
    return TRAINERS[name]


def settings_of(trainer: Trainer, timing: str) -> dict[str, Any]:
    """Return the arguments of the constructor for a timing of the reward, a fresh copy.

    Stable-Baselines3 writes into the `policy_kwargs` that it is given.
    """
    return copy.deepcopy({**trainer.settings, **(trainer.terminal if timing == TERMINAL else {})})


# Called with the tokens so far before each iteration, and after the last.
OnIteration = Callable[[int], None]


@dataclass(frozen=True)
class Learner:
    """An algorithm that is made.

    Attributes:
        act: Its deterministic policy, as `evaluate` takes it.
        learn: Trains on so many tokens.
        env_kwargs: What the environment that it is measured on has to have.
    """

    act: Callable[[Any], Act]
    learn: Callable[[int, OnIteration], None]
    env_kwargs: Mapping[str, Any]


def make_learner(
    trainer: Trainer, env_id: str, timing: str, seed: int, **env_kwargs: Any
) -> Learner:
    """Make an algorithm and its environment.

    Args:
        trainer: Which.
        env_id: Of a registered environment of ours.
        timing: When the reward is paid, or what a token answers for.
        seed: Of training.
        env_kwargs: Of the environment, for instance `task`.

    Raises:
        MissingExtraError: If the library is not installed.
    """
    import torch

    torch.manual_seed(seed)
    settings = settings_of(trainer, timing)
    if trainer.library == OURS:
        return _our_learner(trainer, env_id, settings, seed, env_kwargs)
    mask = {"action_mask": "demonstrated"} if trainer.kind == "MaskablePPO" else {}
    given = {**env_kwargs, **mask, "observation": "flat"}
    envs = gymnasium.make_vec(
        env_id,
        trainer.n_envs,
        autoreset_mode=AutoresetMode.SAME_STEP,
        metrics=False,
        reward_timing=timing,
        **given,
    )
    if trainer.library == SINGLE:
        from train.bench.rl.single_file import SingleFileConfig, SingleFilePPO

        alone = SingleFilePPO(envs, SingleFileConfig(**settings), seed=seed)
        return Learner(lambda _: alone.predict, alone.learn, given)
    return _stock_learner(trainer, envs, settings, seed, given)


def class_of(trainer: Trainer) -> Any:
    """Return the class of a trainer of a library.

    Raises:
        MissingExtraError: If sb3-contrib is not installed.
    """
    try:
        library = import_module("agents" if trainer.library == OURS else trainer.library)
    except ImportError as error:
        raise MissingExtraError(
            "sb3-contrib", extra="contrib", purpose=f"The algorithm {trainer.name}"
        ) from error
    return getattr(library, trainer.kind)


def policy_of(trainer: Trainer) -> str:
    """Return the name of the policy that a stock algorithm is made with."""
    return "MlpLstmPolicy" if trainer.kind == "RecurrentPPO" else "MlpPolicy"


def _stock_learner(
    trainer: Trainer, envs: Any, settings: dict[str, Any], seed: int, given: dict[str, Any]
) -> Learner:
    from esarm_env.sb3 import SB3VecEnv

    view = SB3VecEnv(envs)
    made = class_of(trainer)(policy_of(trainer), view, seed=seed, device="cpu", **settings)

    def act_in(held_out: Any) -> Act:
        def act(obs: Any, state: Any, start: Any, /) -> Any:
            more = {}
            if "action_mask" in given:
                more["action_masks"] = held_out.unwrapped.action_masks()
            return made.predict(obs, state, start, deterministic=True, **more)

        return act

    return Learner(act_in, _learning(made), given)


def _our_learner(
    trainer: Trainer, env_id: str, settings: dict[str, Any], seed: int, env_kwargs: dict[str, Any]
) -> Learner:
    given = {**env_kwargs, "observation": "slim"}
    env = gymnasium.make(env_id, metrics=False, reward_timing=TERMINAL, **given)
    kind = class_of(trainer)
    chosen = {**settings.pop("policy_kwargs", {}), "deterministic_decoding": "greedy"}
    every = {"seed": seed, "policy_kwargs": chosen, **settings}
    if trainer.start == CLONE:
        made = kind.from_clone("shipped", env, **every)
    else:
        made = kind("MotionPolicy", env, **every)

    def act_in(_: Any) -> Act:
        def act(obs: Any, state: Any, start: Any, /) -> Any:
            return made.predict(obs, state, start, deterministic=True)

        return act

    return Learner(act_in, _learning(made), given)


def _learning(made: Any) -> Callable[[int, OnIteration], None]:
    """Return what trains an algorithm of Stable-Baselines3's kind."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        def __init__(self, on_iteration: OnIteration) -> None:
            super().__init__()
            self._on_iteration = on_iteration

        def _on_rollout_start(self) -> None:
            self._on_iteration(self.num_timesteps)

        def _on_step(self) -> bool:
            return True

        def _on_training_end(self) -> None:
            self._on_iteration(self.num_timesteps)

    def learn(total: int, on_iteration: OnIteration) -> None:
        made.learn(total, Watch(on_iteration))

    return learn

"""Stable-Baselines3 policy around the transformer: spaces, optimiser, `predict` with KV cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor
from torch.distributions import Categorical, Distribution

from agents.common.checkpoint_file import PlainPolicyFile
from agents.network.session import PolicySession
from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.protocols import check_names
from agents.rollout.named_decoding import AUTO, check_deterministic, deterministic_tokens
from agents.weights import TASK_SIZES, check_fits, network_sizes
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_REMEDY = (
    "pass `norm_obs=False`, as this policy hears the audio as the task has it (stock algorithms "
    'take `norm_obs_keys=["audio"]`)'
)
LONGEST = 1_000_000  # tokens of an episode, hours of speech: a cache is as long as that
NAMES = ("last_tokens", "step")  # keys that hold names and places: integers, never scaled


class MotionPolicy(PlainPolicyFile, BasePolicy):
    """Wraps a `MotionTransformer`; `predict` keeps its KV cache in the returned state.

    The caches live as long as their state: pass it back unchanged, as `evaluate_policy` does.

    Attributes:
        deterministic_decoding: What `predict(deterministic=True)` takes: `"greedy"` the most likely
            token, `"expected-distance"` the one of least expected distance in mm, `"auto"` the
            latter where the network knows distances (a clone does).
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        *,
        network: dict[str, Any] | None = None,
        max_length: int | None = None,
        deterministic_decoding: str = AUTO,
    ) -> None:
        """Build the network for these spaces.

        Args:
            observation_space: Of `ESARM-v0`: `audio`, `condition`, `last_tokens`, `step`.
            action_space: The tokens.
            lr_schedule: Learning rate by remaining progress; its start sets the optimiser.
            network: Sizes for `PolicyConfig` beyond those that the spaces give.
            max_length: Longest episode in tokens; by default the bound of `step`.
            deterministic_decoding: As of the attribute, which may be set later.

        Raises:
            ValueError: If the observation space lacks a key, `max_length` is out of range, or
                `deterministic_decoding` is unknown.
        """
        check_deterministic(deterministic_decoding)
        super().__init__(observation_space, action_space)
        keys = set(getattr(observation_space, "spaces", {}))
        missing = {"audio", "condition", "last_tokens", "step"} - keys
        if missing:
            raise ValueError(f"`observation_space` must have {sorted(missing)}, got none of them")
        self.network = dict(network or {})
        self.deterministic_decoding = deterministic_decoding
        bound = observation_space["step"].high[0]  # type: ignore[attr-defined]
        self.max_length = int(bound) if max_length is None else max_length
        if not isinstance(self.max_length, int) or not 1 <= self.max_length <= LONGEST:
            raise ValueError(
                f"`max_length` (by default the bound of `step`) must be a whole number from 1 to "
                f"{LONGEST}, got {self.max_length!r}"
            )
        self.transformer = MotionTransformer(
            PolicyConfig(
                n_tokens=int(action_space.n),
                tokens_per_chunk=_width(observation_space["last_tokens"]),
                window_dim=_width(observation_space["audio"]),
                condition_dim=_width(observation_space["condition"]),
                **self.network,
            )
        )
        self.optimizer = torch.optim.AdamW(
            self.transformer.parameters(), lr=lr_schedule(1), weight_decay=0.0, fused=True
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,  # the algorithm that loads it sets its own
            "network": self.network,
            "max_length": self.max_length,
            "deterministic_decoding": self.deterministic_decoding,
        }

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        raise RuntimeError("`predict` must be used: one observation alone lacks the token history")

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[Any, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[Any, ...] | None]:
        """Return the next token of each row and the state to pass to the next call.

        Args:
            observation: One observation or a batch, as the environment gave it.
            state: What the call before returned: it holds the tokens so far. None at the start.
            episode_start: Shape (n_envs,), rows that begin an episode; those at step 0 do anyway.
            deterministic: Choose as `deterministic_decoding` says instead of sampling.

        Raises:
            InputError: If `state` is left out or stale: it is not at the step that `observation`
                says, or has another number of rows; if tokens or steps were scaled; or if
                `deterministic_decoding` needs distances that the network does not know.
        """
        assert isinstance(observation, dict), "ESARM-v0 observes a Dict"
        self.set_training_mode(False)
        given = {key: np.asarray(value) for key, value in observation.items()}
        check_names(given, NAMES, remedy=_REMEDY)
        single = given["step"].ndim == 1
        obs = {
            key: torch.as_tensor(np.atleast_2d(value), device=self.device)
            for key, value in given.items()
        }
        n_rows = len(obs["step"])
        session = state[0] if state is not None else self._new_session(n_rows)
        _bring_to(session, obs["step"][:, 0], episode_start, was_given=state is not None)
        with torch.no_grad():
            chunk = self.transformer.conditioning(obs["audio"][:, None], obs["condition"])[:, 0]
            slots = session.positions % self.transformer.config.tokens_per_chunk
            logits, _ = session.step(chunk, obs["last_tokens"][:, -1].long())
            if deterministic:
                tokens = deterministic_tokens(
                    self.transformer, logits, slots, choice=self.deterministic_decoding
                )
            else:
                choices: Distribution = Categorical(logits=logits)
                tokens = choices.sample()
        actions = tokens.cpu().numpy()
        return (actions[0] if single else actions), (session,)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        env: Any,
        *,
        policy_kwargs: dict[str, Any] | None = None,
        **how: Any,
    ) -> MotionPolicy:
        """Return the policy of a shared folder or of the Hub, for the spaces of `env`.

        Args:
            source: As of `MotionTransformer.from_pretrained`.
            env: An environment of the task that the policy was made for.
            policy_kwargs: Further arguments of the constructor, without `network`.
            **how: Of `MotionTransformer.from_pretrained`, such as `revision`.

        Raises:
            InputError: As of that, or if the policy was made for another tokenizer, corpus or
                observation.
        """
        network = MotionTransformer.from_pretrained(source, **how)
        sizes = {k: v for k, v in network_sizes(network).items() if k not in TASK_SIZES}
        policy = cls(
            env.observation_space,
            env.action_space,
            lambda _: 0.0,
            network={**sizes, "dropout": 0.0},
            **(policy_kwargs or {}),
        )
        task = getattr(getattr(env, "unwrapped", env), "sequence_task", None)
        check_fits(network, policy.transformer, task=getattr(task, "fingerprint", None))
        policy.transformer.load_state_dict(network.state_dict())
        policy.transformer.tokenizer_hash = network.tokenizer_hash
        return policy

    def save_pretrained(self, save_directory: str | Path, **how: Any) -> None:
        """Write the network to a folder, as `MotionTransformer.save_pretrained` does."""
        self.transformer.save_pretrained(save_directory, **how)

    def push_to_hub(self, repo_id: str, **how: Any) -> str:
        """Push the network to the Hub, as `MotionTransformer.push_to_hub` does."""
        return self.transformer.push_to_hub(repo_id, **how)

    def _new_session(self, n_rows: int) -> PolicySession:
        return PolicySession(self.transformer, n_rows=n_rows, max_length=self.max_length)


def _bring_to(
    session: PolicySession, step: Tensor, episode_start: np.ndarray | None, *, was_given: bool
) -> None:
    """Start the rows of `session` anew that begin an episode, and check that all are at `step`.

    Args:
        session: What is known of the past.
        step: Shape (n_rows,), tokens written so far, by the observation.
        episode_start: Shape (n_rows,), or None.
        was_given: Whether the session is a state that came from the caller.

    Raises:
        InputError: If one is not; without its past, a policy acts as if every token were the first.
    """
    if len(session.positions) != len(step):
        raise InputError(
            f"`state` must have a row per observation ({len(step)}), got {len(session.positions)}; "
            "pass None where the number of environments changes, all at step 0"
        )
    start = step == 0
    # `evaluate_policy` goes on calling rows it has counted enough of as if they all began.
    if was_given and episode_start is not None:
        start = start | torch.as_tensor(np.atleast_1d(episode_start)).bool().to(step.device)
    if was_given and bool(start.any()):
        session.reset(start)
    behind = (session.positions != step) & ~start
    if bool(behind.any()):
        row = int(behind.nonzero()[0])
        got = f"one at step {int(session.positions[row])}" if was_given else "None"
        raise InputError(
            f"`state` must be at step {step[row].item():g} as the observation is (row {row}), got "
            f"{got}; it holds the tokens so far, without which no token can be chosen: start with "
            "None at step 0, then pass back what the call before returned "
            "(`action, state = model.predict(obs, state)`); stock policies on `full_sequence` "
            "observations need no state"
        )


def _width(space: spaces.Space[Any]) -> int:
    assert space.shape is not None, "Box spaces have a shape"
    return int(space.shape[0])

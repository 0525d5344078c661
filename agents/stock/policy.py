"""Actor-critic policy with which stock Stable-Baselines3 algorithms train the transformer.

Stock PPO and A2C hand a policy single observations and no state, so the sequence must be in the
observation and every token costs a forward pass over all before it. It is the plain way to put a
transformer into Stable-Baselines3; `agents.ppo` keeps a cache and updates whole sequences instead.

Shape letters: B batch, C chunks, D features of a chunk, L tokens, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor
from torch.nn import functional

from agents.common.checkpoint_file import PlainPolicyFile
from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.protocols import check_names
from agents.rollout.named_decoding import AUTO, check_deterministic, deterministic_tokens

_KEYS = ("audio", "audio_mask", "condition", "tokens", "step")
_REMEDY = 'pass `norm_obs_keys=["audio"]` to it, or `norm_obs=False`'
_NAMES = ("audio_mask", "tokens", "step")  # names and places: integers, never scaled
_FROM_SPACES = ("n_tokens", "tokens_per_chunk", "window_dim", "condition_dim")


def policy_kwargs_of(
    clone: MotionTransformer, observation_space: spaces.Space[Any]
) -> dict[str, Any]:
    """Return the `policy_kwargs` of a stock algorithm whose policy can load `clone`.

    Args:
        clone: The network whose sizes are taken over.
        observation_space: Of `observation="full_sequence"`, one environment's.

    Raises:
        ValueError: If the windows of `clone` are no odd number of the space's chunks.
    """
    shapes = _shapes_of(observation_space)
    chunk_dim = shapes["audio"] // shapes["audio_mask"]
    n_chunks, rest = divmod(clone.config.window_dim, chunk_dim)
    if rest or n_chunks % 2 == 0:
        raise ValueError(
            f"`clone` must hear an odd number of chunks of {chunk_dim} features, "
            f"got windows of {clone.config.window_dim}"
        )
    sizes = {each.name: getattr(clone.config, each.name) for each in fields(PolicyConfig)}
    network = {name: size for name, size in sizes.items() if name not in _FROM_SPACES}
    return {"network": network, "context": n_chunks // 2}


def config_of(
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    *,
    network: dict[str, Any],
    context: int,
) -> PolicyConfig:
    """Return the sizes of the network that fits these spaces.

    Raises:
        ValueError: If a space, a key of `network` or `context` does not fit.
    """
    shapes = _shapes_of(observation_space)
    if not isinstance(action_space, spaces.Discrete):
        raise ValueError(f"`action_space` must be Discrete, got {action_space}")
    known = [each.name for each in fields(PolicyConfig) if each.name not in _FROM_SPACES]
    unknown = sorted(set(network) - set(known))
    if unknown:
        raise ValueError(f"`network` must have keys of {known}, got {unknown}")
    if context < 0:
        raise ValueError(f"`context` must be at least 0, got {context}")
    n_chunks = shapes["audio_mask"]
    return PolicyConfig(
        n_tokens=int(action_space.n),
        tokens_per_chunk=shapes["tokens"] // n_chunks,
        window_dim=(2 * context + 1) * (shapes["audio"] // n_chunks),
        condition_dim=shapes["condition"],
        **network,
    )


def _shapes_of(space: spaces.Space[Any]) -> dict[str, int]:
    """Return the width of every key that the policy needs."""
    parts = getattr(space, "spaces", {})
    missing = sorted(set(_KEYS) - set(parts)) if isinstance(parts, dict) else list(_KEYS)
    if missing:
        raise ValueError(
            f"`observation_space` must have {missing}, got none of them; make the environment "
            "with `observation='full_sequence'`"
        )
    shapes = {key: int(parts[key].shape[0]) for key in _KEYS}
    n_chunks = shapes["audio_mask"]
    for key in ("audio", "tokens"):
        if shapes[key] % n_chunks:
            raise ValueError(
                f"`{key}` must be a multiple of {n_chunks} (one entry of `audio_mask` per chunk), "
                f"got {shapes[key]}"
            )
    return shapes


def differences(theirs: PolicyConfig, ours: PolicyConfig) -> str:
    """Return `name theirs for ours` of every size that differs."""
    names = [each.name for each in fields(PolicyConfig)]
    pairs = [(name, getattr(theirs, name), getattr(ours, name)) for name in names]
    return ", ".join(f"{name} {a} for {b}" for name, a, b in pairs if a != b)


CONTEXT_CHUNKS = 1


class TransformerActorCriticPolicy(PlainPolicyFile, ActorCriticPolicy):
    """A `MotionTransformer` for `stable_baselines3.PPO` and `A2C`, over full-sequence observations.

    Dropout is never active: `train` leaves the network in evaluation mode, so the update evaluates
    the very policy that acted, as the ratio of PPO requires.

    Attributes:
        deterministic_decoding: As of `MotionPolicy`, for `predict(deterministic=True)`.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        *,
        network: dict[str, Any] | None = None,
        context: int = CONTEXT_CHUNKS,
        deterministic_decoding: str = AUTO,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Build the network for these spaces.

        Args:
            observation_space: Of the environment with `observation="full_sequence"`.
            action_space: The tokens.
            lr_schedule: Learning rate by remaining progress; its start sets the optimiser.
            network: Sizes for `PolicyConfig` beyond those that the spaces give.
            context: Chunks of audio before and after the current one that the network hears, as
                in the task; the spaces do not tell.
            deterministic_decoding: As of the attribute, which may be set later.
            use_sde: Must be False; stock algorithms pass it to every policy.
            optimizer_class: As in Stable-Baselines3.
            optimizer_kwargs: As in Stable-Baselines3.

        Raises:
            ValueError: If a space or an argument does not fit.
        """
        if use_sde:
            raise ValueError("`use_sde` must be False (tokens are discrete), got True")
        check_deterministic(deterministic_decoding)
        self.deterministic_decoding = deterministic_decoding
        self.network, self.context = dict(network or {}), context
        self._config = config_of(
            observation_space, action_space, network=self.network, context=context
        )
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def load_clone(self, clone: MotionTransformer) -> None:
        """Take the weights of `clone`, for instance those of behaviour cloning.

        Raises:
            ValueError: If its sizes are not those of this policy; nothing is changed then.
        """
        theirs = replace(clone.config, dropout=self._config.dropout)
        if theirs != self._config:
            wrong = differences(theirs, self._config)
            raise ValueError(
                f"`clone` must have the sizes of this policy, got {wrong}; make the policy with "
                "`policy_kwargs=policy_kwargs_of(clone, env.observation_space)`"
            )
        self.transformer.load_state_dict(clone.state_dict())

    def train(self, mode: bool = True) -> TransformerActorCriticPolicy:
        """Set the mode of all but the network, which stays in evaluation mode: no dropout."""
        super().train(mode)
        self.transformer.eval()
        return self

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (B,), values (B, 1) and log-probabilities (B,).

        Raises:
            InputError: If a wrapper has scaled tokens, steps or masks.
        """
        assert isinstance(obs, dict), "full-sequence observations are a Dict"
        check_names(obs, _NAMES, remedy=_REMEDY)
        distribution, values = self._act(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, values, distribution.log_prob(actions)

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values (B, 1), log-probabilities (B,) of `actions` (B,) and entropies (B,)."""
        distribution, values = self._act(obs)
        return values, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: PyTorchObs) -> Distribution:
        """Return the distribution over the next token, with which `predict` acts.

        Raises:
            InputError: If a wrapper has scaled tokens, steps or masks.
        """
        assert isinstance(obs, dict), "full-sequence observations are a Dict"
        check_names(obs, _NAMES, remedy=_REMEDY)
        return self._act(obs)[0]

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        distribution = self.get_distribution(observation)
        if not deterministic:
            return distribution.get_actions()
        assert isinstance(observation, dict), "full-sequence observations are a Dict"
        return deterministic_tokens(
            self.transformer,
            distribution.distribution.logits,  # type: ignore[union-attr]  # of a Categorical
            observation["step"][:, 0].long() % self._config.tokens_per_chunk,
            choice=self.deterministic_decoding,
        )

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Return values, shape (B, 1)."""
        return self._act(obs)[1]

    def _build(self, lr_schedule: Schedule) -> None:
        # In place of the multi-layer perceptrons and heads that stock policies build here.
        self.transformer = MotionTransformer(self._config).eval()
        make_optimizer: Any = self.optimizer_class  # every one takes a rate, torch does not say so
        self.optimizer = make_optimizer(
            self.transformer.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs
        )

    def _act(self, obs: PyTorchObs) -> tuple[Distribution, Tensor]:
        """Return the distribution over the next token and values (B, 1)."""
        assert isinstance(obs, dict), "full-sequence observations are a Dict"
        per_chunk = self._config.tokens_per_chunk
        # Nothing is written after the last token. An observation past the end is never acted on.
        position = obs["step"][:, 0].long().clamp(max=obs["tokens"].shape[1] - 1)
        # No row looks past its position: the chunks beyond the furthest row need no computing.
        n_chunks = int(position.max()) // per_chunk + 1
        windows = windows_of(
            obs["audio"], n_chunks, chunk_dim=self._chunk_dim, context=self.context
        )
        tokens = obs["tokens"][:, : n_chunks * per_chunk].long()
        logits, values = self.transformer(windows, obs["condition"], tokens)  # (B, L, K), (B, L)
        row = torch.arange(len(position), device=position.device)
        distribution = self.action_dist.proba_distribution(logits[row, position])
        return distribution, values[row, position, None]

    @property
    def _chunk_dim(self) -> int:
        return self._config.window_dim // (2 * self.context + 1)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,  # the algorithm that loads it sets its own
            "network": self.network,
            "context": self.context,
            "deterministic_decoding": self.deterministic_decoding,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }


def windows_of(audio: Tensor, n_chunks: int, *, chunk_dim: int, context: int) -> Tensor:
    """Return the first `n_chunks` audio windows: each chunk with its neighbours, 0 outside.

    Args:
        audio: Shape (B, M * D), all chunks in order, then 0.
        n_chunks: At most M.
        chunk_dim: D.
        context: Neighbours on each side.

    Returns:
        Shape (B, n_chunks, (2 * context + 1) * D).
    """
    heard = audio[:, : (n_chunks + context) * chunk_dim]
    width = (2 * context + n_chunks) * chunk_dim
    before = context * chunk_dim
    padded = functional.pad(heard, (before, width - before - heard.shape[1]))
    return padded.unfold(1, (2 * context + 1) * chunk_dim, chunk_dim)

"""The same network under stock Stable-Baselines3 algorithms."""

from agents.stock.policy import TransformerActorCriticPolicy, policy_kwargs_of

__all__ = ["TransformerActorCriticPolicy", "policy_kwargs_of"]

"""What more than one algorithm needs.

- `advantages`: advantages of episodes with a terminal reward: baselines, scaling, and credit by
  stream.
- `checked_algorithm`: base of all algorithms here: fingerprint of the task, checked loading,
  progress bar.
- `checks`: checks of environment and settings, made before a sequence algorithm is built.
- `episode_algorithm`: collecting half of an on-policy algorithm: whole episodes of tokens,
  batched, with a KV cache.
- `sequence_algorithm`: on-policy algorithm on whole sequences: the base class of PPO, REINFORCE,
  GRPO and your own.
- `update`: parts of a policy update: combined loss, KL penalty and its adaptive coefficient, ratio
  checks.
"""

"""What more than one algorithm needs.

- `advantages`: advantages of episodes with a terminal reward: baselines, scaling, and credit by
  stream.
- `callback_frequencies`: frequencies of callbacks that can never fire: warned of before training,
  with both numbers.
- `checked_algorithm`: base of all algorithms here: fingerprint of the task, checked loading,
  progress bar.
- `checkpoint_file`: checkpoint file: a zip of JSON and safetensors, which runs no code when read.
- `checkpoint_values`: checks of what a checkpoint holds, made before anything is built from it.
- `checks`: checks of environment and settings, made before a sequence algorithm is built.
- `credit`: credit by chunk: a token answers for what its chunk and those after it earned, not for
  it all.
- `episode_algorithm`: collecting half of an on-policy algorithm: whole episodes of tokens,
  batched, with a KV cache.
- `plain_data`: codec between Python values and JSON with named tensors.
- `sequence_algorithm`: on-policy algorithm on whole sequences: the base class of PPO, REINFORCE,
  GRPO and your own.
- `spread`: spread of samples as a part of the reward: what makes a reward for groups of samples
  proper.
- `update`: parts of a policy update: combined loss, KL penalty and its adaptive coefficient, ratio
  checks.
"""

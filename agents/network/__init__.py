"""The policy network: a causal transformer over motion tokens, and its step with a KV cache.

- `acceleration`: GPU options: bfloat16, `torch.compile` and CUDA graphs; all off by default.
- `geometry`: token weights that begin where codes that look alike have alike weights.
- `session`: single-step forward pass with a KV cache, its weights fused to need few kernel
  launches.
- `transformer`: policy network: a pre-norm causal transformer with rotary positions over motion
  tokens.
"""

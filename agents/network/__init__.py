"""The policy network: a causal transformer over motion tokens, and its step with a KV cache."""

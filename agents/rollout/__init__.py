"""Roll-outs: decoding, batched generation with a KV cache, and the buffer of whole episodes.

- `animation`: animation of recordings and utterances with a policy network, by one sequence of
  tokens or the median of several.
- `beam`: beam search for the likeliest whole sequences.
- `best_of_n`: of several animations of an utterance the one that a reward prefers.
- `buffer`: episode buffer: whole episodes of tokens, about 18 bytes a token, without
  observations.
- `decoding`: the choice of a token from logits (greedy, expected distance, sampling, epsilon).
- `episodes`: roll-out of whole episodes of an environment's task, scored in one batch.
- `generation`: batched generation of token sequences with a KV cache.
- `named_decoding`: decodings by name, and which one a network gets where nobody asks.
- `playing`: episodes played through wrappers: what their `step` and `reset` make of a sequence.
- `streaming`: animation of speech while it is spoken.
- `wrapped_episodes`: roll-out through wrappers, played where they may change or note something.
- `wrappers`: survey of the wrappers around an environment: which are played, which refused.
"""

"""Roll-outs: decoding, batched generation with a KV cache, and the buffer of whole episodes."""

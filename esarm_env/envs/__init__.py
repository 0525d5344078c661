"""The Markov decision process: `ESARM-v0` as a scalar and as a native vector environment."""

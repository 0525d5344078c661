"""The reward model of the paper: a causal transformer trained on ranked pairs (Fig. 4, Eq. 1)."""

"""Proxy against gold: what becomes of the true error as a reward is climbed (Gao et al. 2022)."""

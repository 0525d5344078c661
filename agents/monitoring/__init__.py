"""Evaluation while training: held-out utterances, paired differences, reward hacking."""

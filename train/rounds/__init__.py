"""Iterating: collect from the improved policy, rank, train the reward on, improve again."""

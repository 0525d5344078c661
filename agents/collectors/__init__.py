"""Collectors: who writes and scores the episodes of an iteration, this process or Ray's workers.

- `collector`: what a collector is, and the one that works in this process.
- `parts`: which episodes are stepped together, and one batch made of all parts.
- `problem`: what workers know of an environment: its task and its scores.
- `ray_collector`: the collector of several processes, on this machine or a cluster.
"""

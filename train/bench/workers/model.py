"""Model of an iteration with many workers: parts that are shared out, and what is not shared.

An iteration is a roll-out and an update. A roll-out is cut into parts whose costs go with their
longest episode; a worker that is free takes the longest that is left. To that come what the driver
does alone (it sends weights, unpacks episodes) and the update, which workers do not help with.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 1.05  # of the least time an iteration can take: more workers are not worth it


@dataclass(frozen=True)
class Iteration:
    """What an iteration is made of, measured.

    Attributes:
        part_costs: Cost of each part, in any unit.
        work_s: Worker-seconds of all parts together.
        alone_s: Seconds of a roll-out that the driver needs by itself.
        learner_s: Seconds of the update.
        weight_bytes: What each machine is sent once an iteration.
        other_bytes: What is sent and received whatever the number of workers.
    """

    part_costs: tuple[float, ...]
    work_s: float
    alone_s: float
    learner_s: float
    weight_bytes: int
    other_bytes: int

    def rollout_s(self, n_workers: int) -> float:
        """Return the seconds of a roll-out by so many workers."""
        share = longest_load(self.part_costs, n_workers) / sum(self.part_costs)
        return self.alone_s + self.work_s * share

    def seconds(self, n_workers: int) -> float:
        """Return the seconds of an iteration."""
        return self.rollout_s(n_workers) + self.learner_s

    def least_s(self) -> float:
        """Return the seconds of an iteration with a worker for every part."""
        return self.seconds(len(self.part_costs))

    def enough(self) -> int:
        """Return the fewest workers with which an iteration takes hardly longer than it must."""
        least = ENOUGH * self.least_s()
        return next(n for n in range(1, len(self.part_costs) + 1) if self.seconds(n) <= least)

    def row(self, n_workers: int) -> dict[str, float]:
        """Return the figures of so many workers; bytes are those of as many machines."""
        seconds, rollout_s = self.seconds(n_workers), self.rollout_s(n_workers)
        return {
            "workers": n_workers,
            "rollout_s": rollout_s,
            "iteration_s": seconds,
            "times_faster": self.seconds(1) / seconds,
            "rollout_times_faster": self.rollout_s(1) / rollout_s,
            "learner_share": self.learner_s / seconds,
            "bytes": n_workers * self.weight_bytes + self.other_bytes,
        }


def longest_load(costs: Sequence[float], n_workers: int) -> float:
    """Return the cost of what the busiest worker does, if the free one takes the dearest part."""
    loads = [0.0] * n_workers
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(loads, loads[0] + cost)
    return max(loads)

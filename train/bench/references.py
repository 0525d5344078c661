"""Our own reference figures, beside which a benchmark prints what it measured for developers.

Bounds that hold on the two cores where the code was tuned, with room for a busy machine: a figure
beyond its bound there means that a change made something slower or larger. Elsewhere they tell how
far a machine is from that one, so only `--bars` shows them. `bench.environment` and `bench.agents`
both read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reference:
    """A bound of a figure.

    Attributes:
        bound: In the figure's own unit.
        reason: What it protects.
        at_most: Whether the figure should be at most the bound; else at least.
    """

    bound: float
    reason: str
    at_most: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a figure is within the bound."""
        return bool(value <= self.bound if self.at_most else value >= self.bound)


# Environments, stepped at random.
SYNC_RATIO = Reference(40, "one step for all rows, instead of a loop over environments")
NATIVE_STEPS_PER_S = Reference(1_000_000, "stepping must be free beside the policy")
SCORED_STEPS_PER_S = Reference(100_000, "scoring with reward and metrics must not rule the step")
SCALAR_STEPS_PER_S = Reference(60_000, "`gymnasium.make` is for debugging and for other libraries")
NATIVE_MIB = Reference(1024, "4096 environments in the memory of a laptop", at_most=True)
PICTURES_PER_S = Reference(15, "recording a corpus must not take longer than speaking it")

# Agents, by phase and rival: how many times faster ours is, at 128 tokens an episode.
AGENT_LENGTH = 128
AGENT_RATIOS = {
    ("rollout", "stock"): Reference(15, "cached keys and values, instead of the whole history"),
    ("update", "stock"): Reference(150, "a sequence at once, instead of a row for each token"),
    ("iteration", "stock"): Reference(80, "both together"),
    ("rollout", "generate"): Reference(1.5, "the usual way to write tokens with a cache"),
    ("iteration", "recurrent"): Reference(4, "the usual way to give a policy a memory"),
    ("iteration", "recurrent-128"): Reference(4, "the same with minibatches of 128"),
}
BUFFER_SHARE = Reference(1 / 100, "tokens are kept, not the observations of each", at_most=True)
UPDATE_GROWTH = Reference(1.3, "a token's cost from short to long episodes", at_most=True)


def compare(name: str, value: float, reference: Reference) -> dict[str, Any]:
    """Return a figure beside its reference: `name`, `measured`, `reference`, `at_most`, `holds`."""
    return {
        "name": name,
        "measured": value,
        "reference": reference.bound,
        "at_most": reference.at_most,
        "holds": reference.holds(value),
    }


def comparison_line(row: dict[str, Any], *, bars: bool = False) -> str:
    """Return for instance `scalar, steps/s: 71,204`; with `bars` also our bound and if it holds."""
    measured = f"{row['name']}: {_number(row['measured'])}"
    if not bars:
        return measured
    rule = "at most" if row["at_most"] else "at least"
    beyond = "" if row["holds"] else ", beyond it"
    return f"{measured} (our bar: {rule} {_number(row['reference'])}{beyond})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

"""Which pairs have an order: every rule once, and nothing that no rule allows."""

import numpy as np
import pytest

from esarm_env.core.types import Trajectories
from reward.demonstrations import Making, RankedDemonstrations
from reward.demonstrations.order import Order

# utterance, condition, origin, iteration, sample, temperature, family, strength, epsilon, rank
ROWS = {
    "greedy": (0, 0, "policy", 0, 0, 0, "", 0, 0.02, 0.02),
    "noisy": (0, 0, "policy", 0, 1, 0, "", 0, 0.5, 0.5),
    "again": (0, 0, "policy", 0, 2, 0, "", 0, 0.02, 0.02),
    "hot": (0, 0, "policy", 0, 3, 1, "", 0, 0.5, 0.5),
    "next": (0, 0, "policy", 1, 4, 0, "", 0, 0.5, 0.5),
    "true": (0, 0, "recording", 0, 0, 0, "", 0, 0, -1),
    "coded": (0, 0, "reconstruction", 0, 0, 0, "", 0, 0, -1),
    "late": (0, 0, "policy", 0, 0, 0, "time-shift", 0.25, 0.02, 0.02),
    "later": (0, 0, "policy", 0, 0, 0, "time-shift", 1, 0.02, 0.02),
    "late lips": (0, 0, "policy", 0, 0, 0, "mouth:time-shift", 1, 0.02, 0.02),
    "late again": (0, 0, "policy", 0, 2, 0, "time-shift", 1, 0.02, 0.02),
    "late noisy": (0, 0, "policy", 0, 1, 0, "time-shift", 0.25, 0.5, 0.5),
    "late truth": (0, 0, "recording", 0, 0, 0, "time-shift", 0.25, 0, -1),
    "elsewhere": (1, 0, "policy", 0, 1, 0, "", 0, 0.5, 0.5),
    "otherwise": (0, 1, "policy", 0, 1, 0, "", 0, 0.5, 0.5),
}
NAMES = list(ROWS)


@pytest.fixture(scope="module")
def order():
    columns = list(zip(*ROWS.values(), strict=True))
    utterance = np.array(columns[0], dtype=np.int64)
    condition = np.array(columns[1], dtype=np.float32)[:, None]
    n = len(utterance)
    trajectories = Trajectories(
        utterance, np.zeros((n, 4), dtype=np.int64), np.full(n, 4), condition
    )
    making = Making(
        origin=np.array(columns[2]),
        iteration=np.array(columns[3]),
        sample=np.array(columns[4]),
        temperature=np.array(columns[5], dtype=np.float32),
        family=np.array(columns[6]),
        strength=np.array(columns[7], dtype=np.float32),
        seed=np.zeros(n, dtype=np.int64),
        rank=np.array(columns[9], dtype=np.float32),
    )
    return Order(
        RankedDemonstrations(trajectories, np.array(columns[8], dtype=np.float32), making=making)
    )


def found(order):
    """Return (better, worse) to (kind, gap) of all pairs."""
    pairs = order.all_pairs()
    assert len(pairs) == len(set(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True)))
    return {
        (NAMES[better], NAMES[worse]): (order.kinds[kind], pytest.approx(gap, abs=1e-6))
        for better, worse, kind, gap in zip(
            pairs.better, pairs.worse, pairs.kind, pairs.gap.tolist(), strict=True
        )
    }


def test_every_pair_has_the_order_that_the_rules_give_and_no_other(order):
    """A pair too many is a false label; each rule stands here once, by hand."""
    expected = {
        # less noise, same policy and temperature
        ("greedy", "noisy"): ("epsilon", 0.48),
        ("again", "noisy"): ("epsilon", 0.48),
        # ground truth above all roll-outs
        ("true", "greedy"): ("ground-truth", 1.02),
        ("true", "again"): ("ground-truth", 1.02),
        ("true", "noisy"): ("ground-truth", 1.5),
        ("true", "hot"): ("ground-truth", 1.5),
        ("true", "next"): ("ground-truth", 1.5),
        ("coded", "greedy"): ("ground-truth", 1.02),
        ("coded", "again"): ("ground-truth", 1.02),
        ("coded", "noisy"): ("ground-truth", 1.5),
        ("coded", "hot"): ("ground-truth", 1.5),
        ("coded", "next"): ("ground-truth", 1.5),
        # more damage to the same animation
        ("greedy", "late"): ("time-shift", 0.25),
        ("greedy", "later"): ("time-shift", 1),
        ("late", "later"): ("time-shift", 0.75),
        ("greedy", "late lips"): ("mouth:time-shift", 1),
        ("again", "late again"): ("time-shift", 1),
        ("noisy", "late noisy"): ("time-shift", 0.25),
        ("true", "late truth"): ("time-shift", 0.25),
        # damage of something that ranks lower as it is
        ("greedy", "late noisy"): ("across", 0.73),
        ("again", "late noisy"): ("across", 0.73),
        ("true", "late"): ("across", 1.27),
        ("true", "later"): ("across", 2.02),
        ("true", "late lips"): ("across", 2.02),
        ("true", "late again"): ("across", 2.02),
        ("true", "late noisy"): ("across", 1.75),
        ("coded", "late"): ("across", 1.27),
        ("coded", "later"): ("across", 2.02),
        ("coded", "late lips"): ("across", 2.02),
        ("coded", "late again"): ("across", 2.02),
        ("coded", "late noisy"): ("across", 1.75),
    }
    assert found(order) == expected


def test_the_order_of_a_pair_does_not_depend_on_how_it_is_asked_for(order):
    """Swapped rows must give the same better one."""
    first, second = (part.ravel() for part in np.meshgrid(range(len(NAMES)), range(len(NAMES))))
    one, other = order.compare(first, second), order.compare(second, first)
    for name in ("better", "worse", "kind", "gap", "group"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_blocks_join_to_the_same_pairs(order, monkeypatch):
    """Large sets are compared piece by piece."""
    from reward.demonstrations import order as module

    whole = order.all_pairs()
    monkeypatch.setattr(module, "_BLOCK", 1)
    for name, values in vars(order.all_pairs()).items():
        np.testing.assert_array_equal(values, getattr(whole, name))

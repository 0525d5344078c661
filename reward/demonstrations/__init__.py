"""Ranked demonstrations: noisy roll-outs, damaged animations and recordings, with their order.

- `audit`: label audit: how often LVE and EVE confirm automatic ranks, by level, strength and
  distance.
- `card`: data card of a file of demonstrations: its contents in words.
- `collector`: collection of demonstrations: epsilon-greedy roll-outs of a policy, ground truth,
  damage.
- `damage`: application of one corruption family to many demonstrations.
- `motions`: motion of demonstrations: decoded, and damaged again exactly as before.
- `order`: order between two demonstrations, and the probability that its label is right.
- `provenance`: provenance of a demonstration: enough to make it again and to rank it.
- `ranked`: ranked demonstrations in memory and on disk: token sequences with provenance and rank.

Roll-outs, ground truth on top, and graded damage to both; then pairs with soft labels:

```python
rolled = collect(roll_out, task, utterances, epsilons=(0.02, 0.25, 0.5, 0.75, 1.0), seed=0)
truth = ground_truth(task.recorded(utterances), origin=RECONSTRUCTION)
base = RankedDemonstrations.concatenate([rolled, truth])
best = base.making.rank <= np.float32(0.02)
families = families_without("repetition")  # held out, to be tested on later
made = damaged(
    base, task, families=families, strengths=(0.25, 0.5, 1), seed=0, rows=best, roll_out=roll_out
)
demonstrations = RankedDemonstrations.concatenate([base, made])
labels = audit_labels(demonstrations, task).soft_labels()
pairs = RankedPairs(demonstrations, labels=labels).draw(64, rng, by_stream=True)
motions = motions_of(demonstrations, task)
```
"""

from reward.demonstrations.collector import collect, damaged
from reward.demonstrations.corruptions import RollOut
from reward.demonstrations.motions import motions_of, requantised, tokens_of
from reward.demonstrations.provenance import (
    GROUND_TRUTH_RANK,
    ORIGINS,
    POLICY,
    RECONSTRUCTION,
    RECORDING,
    Making,
)
from reward.demonstrations.ranked import RankedDemonstrations, ground_truth, load_demonstrations

__all__ = [
    "GROUND_TRUTH_RANK",
    "ORIGINS",
    "POLICY",
    "RECONSTRUCTION",
    "RECORDING",
    "Making",
    "RankedDemonstrations",
    "RollOut",
    "collect",
    "damaged",
    "ground_truth",
    "load_demonstrations",
    "motions_of",
    "requantised",
    "tokens_of",
]

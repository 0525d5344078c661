"""Rewards that come with the package, found by name through the entry points `esarm.rewards`.

- `closure`: whether the lips shut where the speech sounds like it.
- `emotion`: whether the face shows the emotion that was asked for.
- `ensemble`: the mean of several learned rewards.
- `frame_sums`: sums over frames by chunk, of which many rewards are made.
- `learned`: the reward network of a run.
- `motion_alone`: rewards of the motion alone: `zero`, `jerk` (for a negative weight),
  `liveliness`.
- `oracle`: rewards that use the ground truth, `accuracy`, `lve`, `eve`, `closure_f1`: upper
  bounds.
- `recordings`: features of training recordings that several rewards learn from.
- `synchrony`: whether the mouth opens when the speech is loud.
"""

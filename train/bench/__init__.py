"""Benchmarks: commands that measure, with the peers where there are any.

- `cases`: cases of `esarm bench env`: the same episodes behind several interfaces.
- `environment`: `esarm bench env`: steps per second and memory of the environment, beside
  Gymnasium's and SB3's.
- `peers`: `esarm bench peers`: the policies of a run beside the rule-based peer `openfacefx`.
- `prior`: `esarm bench prior`: a sweep over motion priors, and what each costs and keeps.
- `probes`: `esarm bench probes`: what the streams of a speech encoder give away.
- `references`: our own reference figures, beside which a benchmark prints what it measured.
- `replicas`: updates by one process and by several (`python -m train.bench.replicas`).
- `rl`: `esarm bench rl`: every algorithm that runs on an environment, with intervals over seeds.
- `speed`: `esarm bench metrics` and `esarm bench synthetic`: throughput on this machine.
- `turns`: harness of the benchmarks: one worker process a case, timed in turns, with
  its peak memory.
- `worker`: worker process of `esarm bench env`, one case each: its time and its memory.
"""

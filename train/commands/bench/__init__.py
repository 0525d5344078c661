"""`esarm bench`: measurements of speed, and beside other people's work.

- `speed`: speed and memory of environments, trainers, metrics, pictures and corpora.
- `runs`: a run beside other people's work, and the list of all measurements.
"""

from train.commands.bench.runs import BENCHES, command_bench

__all__ = ["BENCHES", "command_bench"]

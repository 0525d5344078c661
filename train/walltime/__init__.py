"""Wall times of stages as measured on this machine, for whoever starts one of the same size.

- `stages`: the record in the cache folder, and what a run or a stage is expected to take.
"""

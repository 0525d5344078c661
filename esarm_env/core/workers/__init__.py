"""Worker processes: one pool for roll-outs, scoring and stages, on Ray or in this process.

- `guardian`: a process that ends all others of a Ray session once their driver is gone.
- `pool`: the pool's interface, the pool of no workers, and `open_pool`.
- `ray_pool`: the pool of Ray actors, which replaces those that die.
- `session`: start of Ray on this machine, or connection to the cluster of `RAY_ADDRESS`.
- `versions`: what all nodes of a cluster must have alike.
- `worker`: what runs in a worker process.
"""

from esarm_env.core.workers.pool import Pool, SerialPool, WorkerError, open_pool

__all__ = ["Pool", "SerialPool", "WorkerError", "open_pool"]

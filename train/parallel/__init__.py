"""Work of a command in several processes on Ray.

- `session`: start and end of Ray for one command: quiet, nothing left running.
- `stage_pool`: the workers that the stages of one command share their work out to.
- `stages`: a stage of a run as a task: what a worker process does, and what it tells of it.
- `output`: what a worker process prints, in a file of its own.
"""

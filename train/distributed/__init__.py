"""Commands under `torchrun`: the main process does them, the others join in where networks train.

- `launch`: begins and ends the processes of a command; one message of an error.
- `lockstep`: how the others advance a trainer together with the main process.
"""

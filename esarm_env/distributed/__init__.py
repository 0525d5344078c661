"""Training by several processes, as `torchrun` or `accelerate launch` start them.

- `processes`: the processes by `accelerate`: sums of gradients, messages, one message of an error.
- `whole_draws`: random numbers of a part of a minibatch, dropout included.
"""

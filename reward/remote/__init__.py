"""Rewards over HTTP: `http://HOST:PORT/PATH` as the name of a reward; a server of one's own scores.

- `client`: the connection: one POST a batch, kept alive, with bounds on time and size.
- `protocol`: the messages, JSON both ways: episodes there, scores back.
- `reward`: `HttpReward`, what `http://` and `https://` stand for.
"""

"""Reward of a server: `HttpReward`, what `http://HOST:PORT/PATH` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.core.types import STREAMS
from esarm_env.rewards.validation import RewardServerError
from reward.remote.client import Address, Client
from reward.remote.protocol import (
    Abilities,
    ProtocolError,
    read_abilities,
    read_chunks,
    read_scores,
    request,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from esarm_env.core.types import FloatArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

    T = TypeVar("T")

_REMEDY = "`docs/howto/rewards.md` has the messages"


class HttpReward:
    """Scores by a server, one POST a batch; implements `ChunkedReward` where the server does.

    Attributes:
        name: The address.
        needs_ground_truth: What the server says of itself.
        chunk_streams: Likewise; empty where it scores whole animations alone.
    """

    def __init__(self, task: AnimationTask, url: str) -> None:
        """Greet the server at `url` with a batch without episodes of `task`.

        Raises:
            InputError: If `url` is no address, or what is there does not answer as a reward server.
        """
        self.name, self._task = url, task
        self._client = Client(Address.read(url))
        told = _greeted(self._client, task)
        self.needs_ground_truth = told.needs_ground_truth
        self.chunk_streams = told.chunk_streams
        self._latest: tuple[bytes, bytes] | None = None

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the server's scores, shape (N,), float32.

        Raises:
            RewardServerError: If it does not answer, or not with as many finite numbers.
        """
        body = self._answer(trajectories)
        return _kept(self._client, lambda: read_scores(body, self._ids(trajectories)))

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return the server's scores by chunk, shape (N, C, S), float32.

        Of the batch that was scored last, they came with its scores.

        Raises:
            RewardServerError: As of `score`.
        """
        body = self._answer(trajectories)
        counts = (trajectories.lengths // self._task.tokens_per_chunk).tolist()
        columns, ids = len(self.chunk_streams), self._ids(trajectories)
        return _kept(self._client, lambda: read_chunks(body, ids, counts=counts, columns=columns))

    def _answer(self, trajectories: Trajectories) -> bytes:
        asked = request(self._task, trajectories)
        if self._latest is not None and self._latest[0] == asked:
            return self._latest[1]
        self._latest = None
        body = self._client.post(asked)
        if self.chunk_streams:  # which are asked for right after the scores
            self._latest = (asked, body)
        return body

    def _ids(self, trajectories: Trajectories) -> list[str]:
        return self._task.ids_of(trajectories.utterance)


def _greeted(client: Client, task: AnimationTask | None) -> Abilities:
    """Return what a server says of itself."""
    streams = STREAMS if task is None else task.token_streams
    try:
        body = client.post(request(task))
        return _kept(client, lambda: read_abilities(body, token_streams=streams))
    except RewardServerError as error:
        raise InputError(f"`reward` cannot be used: {error}") from error


def _kept(client: Client, read: Callable[[], T]) -> T:
    """Return what `read` makes of an answer that keeps to the protocol."""
    try:
        return read()
    except ProtocolError as error:
        raise client.failure(f"must keep to the protocol: {error}", _REMEDY) from error


def check_server(url: str) -> None:
    """Check that a reward server answers at `url`, before hours of work that need it.

    Raises:
        InputError: As of `HttpReward`.
    """
    _greeted(Client(Address.read(url)), None)


def open_http(task: AnimationTask, run: Path | None, *, argument: str) -> HttpReward:
    """Scores from a server of one's own: `http://HOST:PORT/PATH`."""
    return HttpReward(task, f"http:{argument}")


def open_https(task: AnimationTask, run: Path | None, *, argument: str) -> HttpReward:
    """Scores from a server by TLS: `https://HOST:PORT/PATH`."""
    return HttpReward(task, f"https:{argument}")

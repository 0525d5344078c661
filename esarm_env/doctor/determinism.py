"""Determinism checks of an environment: seeds, replays, pickling, and memory that calls share.

`shared_memory` finds arrays and containers that two calls returned alike; `spoil` overwrites what a
call returned, after which the environment must go on as before.
"""

from __future__ import annotations

import functools
import itertools
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper

from esarm_env.doctor.check import AnyEnv, CheckFailed, Subject, first_line, is_esarm
from esarm_env.doctor.comparison import Array, arrays_in, containers_in, differences
from esarm_env.doctor.contract import need_esarm
from esarm_env.doctor.rollouts import Call, expect_equal, rollout

Returned = Sequence[tuple[str, Mapping[str, Any]]]
_N_SEEDS, _N_DRAWS = 4, 8


def shared_memory(returned: Returned) -> list[str]:
    """Return which results of different calls share memory, one line each.

    Args:
        returned: Name of each call, and what it returned, by name and still untouched.

    Returns:
        A line for each that shares memory with an earlier one, such as
        `obs["audio"] of reset and obs["audio"] of step 1 share memory`.
    """
    return [*_shared_containers(returned), *_shared_arrays(returned)]


def spoil(value: Any) -> None:
    """Overwrite a nested value in place with marker values that no environment returns."""
    for _, array in arrays_in(value):
        if array.flags.writeable:
            array[...] = np.array(113).astype(array.dtype)
    for _, container in list(containers_in(value)):
        if isinstance(container, dict):
            container.clear()
            container["spoilt"] = "spoilt"
        elif isinstance(container, list):
            container[:] = ["spoilt"]
        else:
            container[...] = "spoilt"


@dataclass(frozen=True, eq=False)
class _Span:
    """Address range of an array; `order` counts all, `call` says which call returned it."""

    low: int
    high: int
    order: int
    call: int
    place: str
    array: Array


def _shared_containers(returned: Returned) -> list[str]:
    first: dict[int, tuple[int, str]] = {}
    lines = []
    for number, (name, values) in enumerate(returned):
        parts = (containers_in(value, key) for key, value in values.items())
        for path, container in itertools.chain.from_iterable(parts):
            before, where = first.setdefault(id(container), (number, f"{path} of {name}"))
            if before != number:
                kind = type(container).__name__
                lines.append(f"{where} and {path} of {name} are the same {kind}")
    return lines


def _shared_arrays(returned: Returned) -> list[str]:
    found: dict[int, str] = {}
    running: list[_Span] = []  # those that reach beyond where the current one begins
    for span in sorted(_spans(returned), key=lambda span: (span.low, span.order)):
        running = [other for other in running if other.high > span.low]
        for other in running:
            if other.call != span.call and np.shares_memory(other.array, span.array):
                earlier, later = sorted((other, span), key=lambda each: each.order)
                found.setdefault(later.order, f"{earlier.place} and {later.place} share memory")
                break
        running.append(span)
    return [line for _, line in sorted(found.items())]


def _spans(returned: Returned) -> list[_Span]:
    spans: list[_Span] = []
    for number, (name, values) in enumerate(returned):
        parts = (arrays_in(value, key) for key, value in values.items())
        for path, array in itertools.chain.from_iterable(parts):
            if array.size:
                low, high = np.lib.array_utils.byte_bounds(array)
                spans.append(_Span(low, high, len(spans), number, f"{path} of {name}", array))
    return spans


def check_determinism(subject: Subject) -> str:
    """Check that equal seeds and actions give equal episodes, other seeds other utterances."""
    with subject.make() as first, subject.make() as second:
        streams = [rollout(env, seed=7, n_episodes=2) for env in (first, second)]
        calls = expect_equal(*streams, between="two new environments of one seed")
        if not is_esarm(first) or len(first.get_wrapper_attr("utterances")) < 2:
            return f"{len(calls)} calls equal"
        orders = [_drawn(first, seed) for seed in range(_N_SEEDS)]
        if all(order == orders[0] for order in orders):
            raise CheckFailed(
                f"seeds must decide the utterances, got {orders[0][:3]} first for each of "
                f"{_N_SEEDS} seeds",
                remedy="call `super().reset(seed=seed)` and draw from `self.np_random` alone",
            )
    return f"{len(calls)} calls equal, other seeds draw other utterances"


def check_replay(subject: Subject) -> str:
    """Check that replays of an utterance by `options` give equal observations."""
    with subject.make() as env:
        need_esarm(env)
        wanted = int(env.get_wrapper_attr("utterances")[-1])
        options = {"utterance": wanted}
        first = list(rollout(env, seed=3, options=options))
        for _ in rollout(env, seed=4):  # another episode between leaves nothing behind
            pass
        again = rollout(env, seed=3, options=options)
        expect_equal(
            iter(first), again, between=f"two replays of utterance {wanted}", keys=("obs",)
        )
    name = first[0].returned["info"].get("utterance_id", wanted)
    return f"utterance {name} twice, {len(first)} observations equal"


def check_memory(subject: Subject) -> str:
    """Check that calls return fresh memory, which later calls neither change nor read."""
    with subject.make() as env:
        calls = list(rollout(env, seed=5, n_episodes=2))
        expect_separate(calls)
        clean = rollout(env, seed=5, n_episodes=2)
        with subject.make() as other:
            expect_unharmed(clean, rollout(other, seed=5, n_episodes=2))
    return f"{len(calls)} calls share nothing"


def check_pickling(subject: Subject) -> str:
    """Check that `env.spec` can be pickled for `AsyncVectorEnv` and makes an equal environment."""
    with subject.make() as env:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            spec = env.spec
        first, _ = env.reset(seed=9)
        space = env.observation_space
    if spec is None:
        reason = f" ({caught[0].message})" if caught else ""
        raise CheckFailed(f"`env.spec` must tell how it was made, got None{reason}")
    constructor = CloudpickleWrapper(functools.partial(gymnasium.make, spec))
    with pickle.loads(pickle.dumps(constructor))() as made:
        if made.observation_space != space:
            raise CheckFailed(
                "`gymnasium.make(env.spec)` made another observation space: "
                f"{made.observation_space} instead of {space}"
            )
        found = differences(made.reset(seed=9)[0], first, path="obs")
    if found:
        raise CheckFailed(f"`gymnasium.make(env.spec)` must make an equal one, got {found[0]}")
    return "`gymnasium.make(env.spec)` survives it"


def expect_separate(calls: list[Call]) -> None:
    """Raise `CheckFailed` if two calls returned the same memory."""
    shared = shared_memory([(call.name, call.returned) for call in calls])
    if shared:
        raise CheckFailed(f"two calls returned the same memory: {shared[0]}")


def expect_unharmed(clean: Iterator[Call], spoilt: Iterator[Call]) -> None:
    """Raise `CheckFailed` if writing into all that `spoilt` returns changes what comes next.

    Args:
        clean: A stream that nothing is done to.
        spoilt: The same calls of another environment.
    """

    def spoiling() -> Iterator[Call]:
        while True:
            try:
                call = next(spoilt)
            except StopIteration:
                return
            except Exception as error:
                raise CheckFailed(
                    "what is returned must be the caller's to write into, got after that "
                    + first_line(error)
                ) from error
            yield call
            for value in call.returned.values():
                spoil(value)

    between = "an environment whose results are kept and one whose results are overwritten"
    expect_equal(spoiling(), clean, between=between)


def _drawn(env: AnyEnv, seed: int) -> list[str]:
    infos = [env.reset(seed=None if draw else seed)[1] for draw in range(_N_DRAWS)]
    return [str(info.get("utterance_id")) for info in infos]

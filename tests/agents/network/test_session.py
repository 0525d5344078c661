"""Stepping with a cache: the same numbers as the full pass, and never from stale caches."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.network.session import PolicySession
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask

Change = Callable[[MotionTransformer], None]


def _full(
    model: MotionTransformer, task: SequenceTask, utterance: int, tokens: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (L, K) and values (L,) of one whole sequence, and its chunk inputs (C, H)."""
    row = np.array([utterance])
    windows = torch.from_numpy(task.audio_windows(row))
    condition = torch.from_numpy(task.condition_of(row))
    with torch.no_grad():
        logits, values = model(windows, condition, tokens[None])
        return logits[0], values[0], model.conditioning(windows, condition)[0]


def _random_tokens(task: SequenceTask, utterance: int) -> Tensor:
    generator = torch.Generator().manual_seed(utterance)
    return torch.randint(task.n_tokens, (int(task.lengths[utterance]),), generator=generator)


@pytest.mark.parametrize("sizes", [{}, {"n_layers": 3, "n_heads": 4, "width": 32}])
@pytest.mark.parametrize("tokens_per_chunk", [1, 2, 4])
def test_cached_steps_equal_the_full_pass(
    make_task: Callable[..., SequenceTask],
    make_model: Callable[..., MotionTransformer],
    sizes: dict[str, int],
    tokens_per_chunk: int,
) -> None:
    """Cache and positions that drift apart still give finite numbers: of another policy."""
    task = make_task(tokens_per_chunk=tokens_per_chunk)
    model = make_model(task, **sizes)
    utterances = [8, 9, 10, 11]  # all of one length
    length = int(task.lengths[8])
    tokens = torch.stack([_random_tokens(task, each) for each in utterances])
    parts = [_full(model, task, u, t) for u, t in zip(utterances, tokens, strict=True)]
    logits, values, chunks = (torch.stack(part) for part in zip(*parts, strict=True))
    session = PolicySession(model, n_rows=4, max_length=length)
    previous = torch.full((4,), -1)
    for t in range(length):
        step = session.step(chunks[:, t // tokens_per_chunk], previous)
        torch.testing.assert_close(step, (logits[:, t], values[:, t]), atol=1e-5, rtol=0)
        previous = tokens[:, t]
    assert (session.positions == length).all()


def test_rows_that_restart_at_different_times_equal_the_full_pass(
    make_task: Callable[..., SequenceTask], make_model: Callable[..., MotionTransformer]
) -> None:
    """Vectorised episodes end at different steps: a row that sees its predecessor's cache lies."""
    task = make_task(24, max_chunks=6, tokens_per_chunk=2)
    model = make_model(task, n_layers=3)
    plays = [[0, 20, 4, 8], [16, 1, 12], [9, 21, 2], [22, 13]]  # lengths 2 to 12 in all orders
    queues = [list(play) for play in plays]
    n_rows = len(plays)
    session = PolicySession(model, n_rows=n_rows, max_length=12)
    current = [queue.pop(0) for queue in queues]
    position = [0] * n_rows
    compared, apart = 0, 0
    while True:
        full = [_full(model, task, each, _random_tokens(task, each)) for each in current]
        chunk = torch.stack([full[r][2][position[r] // 2] for r in range(n_rows)])
        previous = torch.tensor(
            [
                int(_random_tokens(task, current[r])[position[r] - 1]) if position[r] else -1
                for r in range(n_rows)
            ]
        )
        logits, values = session.step(chunk, previous)
        for r in range(n_rows):
            expected = full[r][0][position[r]], full[r][1][position[r]]
            torch.testing.assert_close((logits[r], values[r]), expected, atol=1e-5, rtol=0)
            compared += 1
        position = [each + 1 for each in position]
        ended = [p == int(task.lengths[u]) for p, u in zip(position, current, strict=True)]
        if any(end and not queue for end, queue in zip(ended, queues, strict=True)):
            break
        session.reset(torch.tensor(ended))
        for r in range(n_rows):
            if ended[r]:
                current[r], position[r] = queues[r].pop(0), 0
        apart += len(set(position)) > 1
    assert compared > 60 and apart > 10, "the rows hardly ever stood at different positions"


def test_a_reset_session_forgets(model: MotionTransformer) -> None:
    """The second batch of a roll-out must not continue the first."""
    session = PolicySession(model, n_rows=2, max_length=4)
    chunk, start = torch.ones(2, model.config.width), torch.tensor([-1, -1])
    first = session.step(chunk, start)
    session.step(chunk, torch.tensor([1, 2]))
    session.reset()
    torch.testing.assert_close(session.step(chunk, start), first, atol=0, rtol=0)


def _one_gradient_step(model: MotionTransformer) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    sum(parameter.sum() for parameter in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()


def _load_other_weights(model: MotionTransformer) -> None:
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})


def _edit_one_weight(model: MotionTransformer) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(2)


def _put_other_weights_in_place(model: MotionTransformer) -> None:
    weights = {name: value + 1 for name, value in model.state_dict().items()}
    model.load_state_dict(weights, assign=True)


def _load_a_vector(model: MotionTransformer) -> None:
    vector = torch.nn.utils.parameters_to_vector(model.parameters())
    torch.nn.utils.vector_to_parameters(vector.detach() + 1, model.parameters())


_CHANGES = [
    _one_gradient_step,
    _load_other_weights,
    _edit_one_weight,
    _put_other_weights_in_place,
    _load_a_vector,
]


@pytest.mark.parametrize("change", _CHANGES)
def test_stale_caches_are_refused(model: MotionTransformer, change: Change) -> None:
    """Half old, half new keys give log-probabilities of no policy; learning then drifts unseen."""
    session = PolicySession(model, n_rows=2, max_length=4)
    chunk, start = torch.ones(2, model.config.width), torch.tensor([-1, -1])
    session.step(chunk, start)
    change(model)
    rule = re.escape("`step` must follow `reset` once weights change, got stale caches")
    with pytest.raises(RuntimeError, match=rule):
        session.step(chunk, start)
    session.reset(torch.tensor([True, False]))
    with pytest.raises(RuntimeError, match=rule):
        session.step(chunk, start)
    session.reset()
    session.step(chunk, start)


def test_rows_that_are_reset_one_by_one_take_the_new_weights(model: MotionTransformer) -> None:
    """`predict` names the rows that start; after an update, when all do, it must go on."""
    session = PolicySession(model, n_rows=2, max_length=4)
    chunk, start = torch.ones(2, model.config.width), torch.tensor([-1, -1])
    session.step(chunk, start)
    _edit_one_weight(model)
    session.reset(torch.tensor([True, False]))
    session.reset(torch.tensor([False, True]))
    fresh = PolicySession(model, n_rows=2, max_length=4).step(chunk, start)
    torch.testing.assert_close(session.step(chunk, start), fresh, atol=0, rtol=0)


def test_a_session_has_the_precision_of_its_network(model: MotionTransformer) -> None:
    """A cache in single precision would round what a network in double precision computes."""
    model.double()
    session = PolicySession(model, n_rows=2, max_length=4)
    chunk = torch.ones(2, model.config.width, dtype=torch.float64)
    logits, values = session.step(chunk, torch.tensor([-1, -1]))
    assert logits.dtype == values.dtype == torch.float64


def test_a_gradient_alone_makes_no_cache_stale(model: MotionTransformer) -> None:
    """Refusing more than changes of weights would make interleaved evaluation impossible."""
    session = PolicySession(model, n_rows=1, max_length=2)
    chunk = torch.ones(1, model.config.width)
    session.step(chunk, torch.tensor([-1]))
    sum(parameter.sum() for parameter in model.parameters()).backward()  # type: ignore[union-attr]
    model.zero_grad()
    model.train()
    model.eval()
    session.step(chunk, torch.tensor([0]))


def test_a_full_row_is_refused(model: MotionTransformer) -> None:
    """One token past the end would overwrite the cache or fail with an index deep inside."""
    session = PolicySession(model, n_rows=2, max_length=3)
    chunk, start = torch.ones(2, model.config.width), torch.tensor([-1, -1])
    session.step(chunk, start)
    session.reset(torch.tensor([False, True]))
    for _ in range(2):
        session.step(chunk, start)
    assert session.positions.tolist() == [3, 2]
    rule = re.escape("`step` must stay within 3 tokens, got 4")
    with pytest.raises(RuntimeError, match=rule):
        session.step(chunk, start)
    session.reset(torch.tensor([True, False]))
    session.step(chunk, start)
    assert session.positions.tolist() == [1, 3]


@pytest.mark.parametrize(("n_rows", "max_length"), [(0, 4), (-1, 4), (4, 0)])
def test_an_empty_session_is_rejected(
    model: MotionTransformer, n_rows: int, max_length: int
) -> None:
    """No rows or no room is a mistake of the caller; torch would only fail at the first step."""
    rule = f"`n_rows` and `max_length` must be at least 1, got {n_rows} and {max_length}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        PolicySession(model, n_rows=n_rows, max_length=max_length)


def test_one_row_of_one_token_is_allowed(model: MotionTransformer) -> None:
    """The smallest session there is must work."""
    session = PolicySession(model, n_rows=1, max_length=1)
    logits, values = session.step(torch.ones(1, model.config.width), torch.tensor([-1]))
    assert logits.shape == (1, model.config.n_tokens) and values.shape == (1,)

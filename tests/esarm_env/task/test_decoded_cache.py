"""One animation, decoded once: and never a stale one, a shared one, or one kept for ever."""

import copy
import gc
import pickle

import numpy as np
import pytest

from esarm_env.core.types import Trajectories
from esarm_env.task.animation_task import BatchCache


@pytest.fixture
def decodings(tiny_task, monkeypatch):
    """Return the list of batch sizes that were decoded."""
    sizes = []
    decode = type(tiny_task.tokenizer).decode_batch

    def counted(self, tokens, lengths):
        sizes.append(len(tokens))
        return decode(self, tokens, lengths)

    monkeypatch.setattr(type(tiny_task.tokenizer), "decode_batch", counted)
    return sizes


def test_a_batch_is_decoded_once_for_all_who_ask(tiny_task, decodings):
    """Reward terms and metrics each cost a decoding otherwise."""
    batch = tiny_task.recorded(np.arange(4))
    first = tiny_task.decode_chunks(batch)
    errors = tiny_task.errors(batch)
    tiny_task.decode(batch)
    np.testing.assert_array_equal(tiny_task.errors(batch)["lve"], errors["lve"])
    assert decodings == [4]
    tiny_task.decode_chunks(batch[:2])
    tiny_task.decode_chunks(batch)
    assert decodings == [4, 2, 4], "only the last batch is kept"
    for row, again in zip(first, tiny_task.decode_chunks(batch), strict=True):
        np.testing.assert_array_equal(row, again)


def test_nobody_sees_what_another_wrote(tiny_task):
    """A reward that smooths the motion in place would be scored by the next one, too."""
    batch = tiny_task.recorded(np.arange(4))
    expected = [row.copy() for row in tiny_task.decode_chunks(batch)]
    for row in tiny_task.decode_chunks(batch):
        row[:] = 7
    tiny_task.errors(batch)["lve"][:] = 7
    for row, wanted in zip(tiny_task.decode_chunks(batch), expected, strict=True):
        np.testing.assert_array_equal(row, wanted)
    assert (tiny_task.errors(batch)["lve"] < 7).any()


@pytest.mark.parametrize("part", ["utterance", "tokens", "lengths"])
def test_a_batch_that_was_written_into_is_another_one(tiny_task, part):
    """In a notebook the same object is changed and scored again."""
    recorded = tiny_task.recorded(np.array([4, 6]))
    batch = Trajectories(
        *(
            copy.copy(getattr(recorded, name))
            for name in ("utterance", "tokens", "lengths", "condition")
        )
    )
    latest, calls = BatchCache(), []
    for _ in range(2):
        latest.get(batch, "x", lambda t: calls.append(1))
    assert len(calls) == 1
    getattr(batch, part)[0] += 1
    latest.get(batch, "x", lambda t: calls.append(1))
    assert len(calls) == 2


def test_what_was_decoded_goes_with_its_batch(tiny_task):
    """A thousand episodes are a hundred megabytes of motion."""
    batch = tiny_task.recorded(np.arange(4))
    latest = BatchCache()
    value = latest.get(batch, "x", lambda t: np.zeros(3))
    other = tiny_task.recorded(np.arange(2))
    del batch
    gc.collect()
    assert latest._values == {}
    latest.get(other, "x", lambda t: value)
    assert latest._values == {"x": value}


def test_a_failure_is_not_kept(tiny_task):
    """Asked again, it is tried again."""
    batch, latest = tiny_task.recorded(np.arange(2)), BatchCache()
    with pytest.raises(ZeroDivisionError, match="by zero"):
        latest.get(batch, "x", lambda t: 1 // 0)
    assert latest.get(batch, "x", lambda t: 5) == 5


def test_a_copy_is_empty(tiny_task):
    """Tasks travel to worker processes; weak references cannot."""
    batch, latest = tiny_task.recorded(np.arange(2)), BatchCache()
    latest.get(batch, "x", lambda t: 5)
    for twin in (copy.deepcopy(latest), pickle.loads(pickle.dumps(latest))):
        assert twin.get(batch, "x", lambda t: 6) == 6
    assert latest.get(batch, "x", lambda t: 7) == 5

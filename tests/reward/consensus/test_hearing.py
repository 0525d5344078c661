"""Heard speech is kept: scores stay the same, and nothing stale or foreign is ever heard."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from reward.consensus.hearing import HeardSpeech
from reward.consensus.member import ConsensusMember
from reward.consensus.settings import ConsensusConfig

SIZES = {"audio_dim": 5, "condition_dim": 3, "frames": 2}
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def member() -> ConsensusMember:
    torch.manual_seed(0)
    config = ConsensusConfig(n_layers=1, n_heads=2, width=8, imagined=2, rank=3, hidden=8)
    member = ConsensusMember(config, **SIZES).eval()
    for weight in member.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return member


def inputs(rows: list[int], counts: list[int]) -> Inputs:
    """Return audio, condition, motion and `inside` of utterances `rows`, padded together."""
    made = [torch.Generator().manual_seed(row) for row in rows]
    audio = torch.stack([torch.randn(9, 5, generator=g)[: max(counts)] for g in made])
    condition = torch.stack([torch.rand(3, generator=g) for g in made])
    motion = torch.rand(len(rows), 1, max(counts), 2 * 52)
    inside = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    return audio * inside[..., None], condition, motion, inside


def counted(monkeypatch: pytest.MonkeyPatch, member: ConsensusMember) -> list[int]:
    """Return the list of batch sizes that go through the transformer."""
    sizes: list[int] = []
    hear: Callable[[Tensor, Tensor], Tensor] = member._hear

    def spy(audio: Tensor, condition: Tensor) -> Tensor:
        sizes.append(len(audio))
        return hear(audio, condition)

    monkeypatch.setattr(member, "_hear", spy)
    return sizes


def plain(member: ConsensusMember, given: Inputs) -> tuple[Tensor, Tensor]:
    with torch.no_grad():  # not in inference mode: nothing is kept
        errors, recorded, _ = member(*given)
    inside = given[-1][:, None]
    return errors[inside], recorded


def test_kept_speech_is_judged_as_heard_anew(
    member: ConsensusMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of another length, order or batch must find its own speech, and no other."""
    sizes = counted(monkeypatch, member)
    batches = [([0, 1], [4, 6]), ([1, 2, 0], [6, 3, 4]), ([0, 0], [4, 4]), ([1], [6])]
    for batch in batches:
        given = inputs(*batch)
        expected = plain(member, given)
        sizes.clear()
        with torch.inference_mode():
            errors, recorded, _ = member(*given)
        torch.testing.assert_close(errors[given[-1][:, None]], expected[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(recorded, expected[1], atol=1e-5, rtol=1e-5)
        assert sizes == ([] if batch in batches[2:] else [1, 1] if batch == batches[0] else [1])


def test_scores_do_not_depend_on_what_was_scored_before(member: ConsensusMember) -> None:
    """To the last bit: workers score other parts than one process, and a resumed run fewer."""
    rows, counts = list(range(12)), [9, 4, 7, 6, 9, 5, 8, 3, 9, 6, 7, 9]
    given = inputs(rows, counts)
    twins = [copy.deepcopy(member) for _ in range(4)]
    with torch.inference_mode():
        first = member(*given)
        for twin, chosen in zip(twins, ([0], [3, 1], [11, 8, 4, 2], rows[::-1]), strict=True):
            twin(*inputs(chosen, [counts[row] for row in chosen]))
            again = twin(*given)
            assert torch.equal(again.errors, first.errors)
            assert torch.equal(again.recorded, first.recorded)


def test_another_condition_or_a_shorter_part_is_heard_anew(
    member: ConsensusMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words asked for in another emotion are other speech to a judge."""
    sizes = counted(monkeypatch, member)
    audio, condition, motion, inside = inputs([0], [4])
    with torch.inference_mode():
        member(audio, condition, motion, inside)
        member(audio, condition + 0.1, motion, inside)
        member(audio, condition, motion, torch.tensor([[True, True, False, False]]))
        member(audio + 0.1, condition, motion, inside)
        member(audio, condition, motion, inside)
    assert sizes == [1, 1, 1, 1]


def test_nothing_is_kept_beyond_a_change_of_weights(
    member: ConsensusMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reward that is trained on, or loaded into, would go on with what it heard before."""
    given = inputs([0, 1], [4, 6])
    with torch.inference_mode():
        member(*given)
    with torch.no_grad():
        member.from_audio[1].weight.add_(0.1)
    expected = plain(member, given)
    with torch.inference_mode():
        torch.testing.assert_close(member(*given).recorded, expected[1])
    other = copy.deepcopy(member.state_dict())
    other["from_audio.1.bias"] += 0.3
    member.load_state_dict(other)
    expected = plain(member, given)
    with torch.inference_mode():
        torch.testing.assert_close(member(*given).recorded, expected[1])


def test_training_and_gradients_hear_anew(
    member: ConsensusMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept has no gradient and no dropout."""
    sizes = counted(monkeypatch, member)
    given = inputs([0], [4])
    with torch.inference_mode():
        member(*given)
    member(*given).errors.sum().backward()
    assert member.from_audio[1].weight.grad.abs().sum() > 0
    member.train()
    with torch.inference_mode():
        member(*given)
    assert sizes == [1, 1, 1]


def test_the_oldest_speech_goes_first_and_copies_are_empty() -> None:
    """A corpus of any size must fit, and worker processes need no memories."""
    heard, calls = HeardSpeech(most_floats=40), []
    network = torch.nn.Linear(1, 1).eval()

    def hear(audio: Tensor, condition: Tensor) -> Tensor:
        calls.append(audio[0, 0, 0].item())
        return audio * 2

    def ask(memory: HeardSpeech, value: float) -> Tensor:
        audio = torch.full((1, 4, 5), value)
        return memory(network, hear, audio, torch.zeros(1, 3), torch.tensor([4]))

    with torch.inference_mode():
        for value in (1.0, 2.0, 2.0, 1.0, 3.0, 2.0, 1.0):
            assert ask(heard, value).unique().tolist() == [2 * value]
        assert calls == [1.0, 2.0, 3.0, 1.0]
        for twin in (copy.deepcopy(heard), pickle.loads(pickle.dumps(heard))):
            ask(twin, 1.0)
        assert calls == [1.0, 2.0, 3.0, 1.0, 1.0, 1.0]


def test_a_weight_that_was_replaced_is_noticed(
    member: ConsensusMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`member.to(...)` and surgery on a network put another tensor in a weight's place."""
    given = inputs([0, 1], [4, 6])
    with torch.inference_mode():
        member(*given)
    layer = member.transformer.layers[0].linear1
    layer.weight = torch.nn.Parameter(layer.weight.detach() + 0.5)
    expected = plain(member, given)
    with torch.inference_mode():
        torch.testing.assert_close(member(*given).recorded, expected[1])

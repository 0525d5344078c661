"""Beam search: exhaustive where it can be, never worse than greedy, each length for itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from agents import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.beam import BeamSearch, search

MakeTask = Callable[..., SequenceTask]
MakeModel = Callable[..., MotionTransformer]


def _speech(task: SequenceTask, utterances: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = np.array(utterances)
    return torch.from_numpy(task.audio_windows(rows)), torch.from_numpy(task.condition_of(rows))


def _log_probs(
    model: MotionTransformer, speech: tuple[torch.Tensor, torch.Tensor], tokens: torch.Tensor
) -> torch.Tensor:
    """Return log-probabilities (N, L) of `tokens` (N, L) for the first row of `speech`."""
    windows, condition = (part[:1].expand(len(tokens), *part.shape[1:]) for part in speech)
    with torch.no_grad():
        logits, _ = model(windows, condition, tokens)
    return logits.log_softmax(-1).gather(2, tokens[..., None])[..., 0]


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_all_prefixes_finds_the_likeliest_sequence(
    make_task: MakeTask, make_model: MakeModel, seed: int
) -> None:
    """By brute force over all 81 sequences; caches in the wrong order give another one."""
    task = make_task(9, n_tokens=3, max_chunks=2)
    model = make_model(task, seed=seed)
    speech = _speech(task, [5])  # four tokens
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    totals = _log_probs(model, speech, every).sum(-1)
    tokens, chances, _ = search(model, *speech, beam=27)
    assert tokens[0].tolist() == every[totals.argmax()].tolist()
    assert chances.sum().item() == pytest.approx(totals.max().item(), abs=1e-4)


def test_scores_are_the_log_probabilities_of_the_hypotheses(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Each hypothesis goes on from its own cache: a parent's neighbour would give other figures."""
    speech = _speech(task, [10])
    with torch.inference_mode():
        beam = BeamSearch(model, *speech, beam=5)
        beam.run()
    kept = _log_probs(model, speech, beam.tokens[0].clone()).sum(-1)
    torch.testing.assert_close(beam.scores[0].clone(), kept, atol=1e-4, rtol=1e-4)
    assert len({tuple(row) for row in beam.tokens[0].tolist()}) == 5
    assert beam.scores[0].tolist() == sorted(beam.scores[0].tolist(), reverse=True)


def test_a_wider_beam_finds_what_is_at_least_as_likely_as_greedy(
    make_task: MakeTask, make_model: MakeModel
) -> None:
    """Over many networks: a search that is worse on average searches for something else."""
    task = make_task()
    gains = []
    for seed in range(8):
        model, speech = make_model(task, seed=seed), _speech(task, [8, 9, 10, 11])
        greedy, wide = (search(model, *speech, beam=beam)[1].sum(-1) for beam in (1, 6))
        gains += (wide - greedy).tolist()
    assert np.mean(gains) > 0 and np.mean(np.array(gains) >= -1e-5) > 0.9


def test_a_beam_of_one_sequence_more_than_there_are_is_no_harm(
    make_task: MakeTask, make_model: MakeModel
) -> None:
    """At the first token there are K hypotheses, however many are to be kept."""
    task = make_task(4, n_tokens=2, tokens_per_chunk=2, max_chunks=1)
    tokens, chances, values = search(make_model(task), *_speech(task, [0, 1]), beam=50)
    assert tokens.shape == chances.shape == values.shape == (2, 2)
    assert bool(chances.isfinite().all())


def test_what_lies_behind_a_row_s_end_does_not_choose_its_beam(
    make_task: MakeTask, make_model: MakeModel
) -> None:
    """The best start of a longer sequence is often another one."""
    task, lengths = make_task(), torch.tensor([2, 2, 2, 2, 6])
    differs = False
    for seed in range(8):
        model = make_model(task, seed=seed)
        with torch.no_grad():
            model.to_logits.mul_(0.3)  # less sure, so that more starts are worth a try
        windows, condition = _speech(task, [0, 1, 2, 3, 9])
        alone = search(model, windows[:4, :1], condition[:4], beam=3)[0]
        both = search(model, windows, condition, beam=3, lengths=lengths)[0]
        assert both[:4, :2].tolist() == alone.tolist()
        endless = search(model, windows, condition, beam=3)[0]
        differs |= endless[:4, :2].tolist() != alone.tolist()
    assert differs, "else the lengths would not matter"

"""Answers of a recording to tokens: the code that is best from there."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer.answers import answers


def test_a_recording_answers_its_own_tokens_with_themselves(tiny_task: AnimationTask) -> None:
    """Else the expert would pull a perfect policy away from the recording."""
    utterances = np.array([4, 6])
    recorded = tiny_task.demonstrations(utterances)
    found = tiny_task.answers(utterances, recorded)
    assert found.shape == recorded.shape
    np.testing.assert_array_equal(found < 0, recorded < 0)
    # The tokenizer follows several coarse codes and may prefer another sum.
    assert np.mean((found == recorded)[recorded >= 0]) > 0.7


def test_an_answer_is_the_code_nearest_to_what_is_left(tiny_task: AnimationTask) -> None:
    """By brute force over all codes, after a coarse code that the recording does not have."""
    tokenizer, motion = tiny_task.tokenizer, tiny_task.corpus[4].motion
    tokens = tiny_task.recorded_tokens(4).copy()
    per_chunk = tokenizer.tokens_per_chunk
    tokens[::per_chunk] = (tokens[::per_chunk] + 1) % tokenizer.n_tokens
    found = answers(tokenizer, motion, tokens).reshape(-1, per_chunk)
    latent = tokenizer.latents(motion)["mouth"]
    books = torch.from_numpy(tokenizer.codebooks())
    for chunk, written in enumerate(tokens.reshape(-1, per_chunk)):
        left = latent[chunk] - books[0][written[0]]
        assert found[chunk, 1] == int((left - books[1]).square().sum(1).argmin())
        assert found[chunk, 0] == int((latent[chunk] - books[0]).square().sum(1).argmin())


@pytest.mark.parametrize("more", [1, 4])
def test_tokens_that_are_no_whole_chunks_of_the_recording_are_refused(
    tiny_task: AnimationTask, more: int
) -> None:
    """Shifted by a token, every answer would be another slot's."""
    tokens = np.concatenate([tiny_task.recorded_tokens(4), np.zeros(more, dtype=np.int64)])
    most = len(tokens) - more
    message = f"`tokens` must be whole chunks of 4, at most {most}, got {most + more}"
    with pytest.raises(ValueError, match=re.escape(message)):
        answers(tiny_task.tokenizer, tiny_task.corpus[4].motion, tokens)

"""Judges of generated motion: what they are trained on."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np

from esarm_env.task.judges import emotion_judge, plain_and_tokenized

if TYPE_CHECKING:
    from esarm_env.core.types import Corpus
    from esarm_env.task.animation_task import AnimationTask


def test_each_recording_comes_plain_and_as_its_tokens_tell_it(
    tiny_task: AnimationTask, tiny_corpus: Corpus
) -> None:
    """In another order, every second motion would carry its neighbour's label."""
    utterances = tiny_corpus.split("train")
    motions = list(plain_and_tokenized(tiny_task, utterances))
    assert len(motions) == 2 * len(utterances)
    coded = tiny_task.decode(tiny_task.recorded(utterances))
    for row, index in enumerate(utterances):
        truth = tiny_corpus[int(index)].motion
        np.testing.assert_array_equal(motions[2 * row], truth)
        np.testing.assert_allclose(motions[2 * row + 1], coded[row, : len(truth)], atol=1e-6)


def test_the_emotion_survives_the_tokenizer(tiny_task: AnimationTask, tiny_corpus: Corpus) -> None:
    """A judge of recordings alone names 4 of these 8 right, and would blame the policy."""
    utterances = tiny_corpus.split("train")
    judge = emotion_judge(tiny_task)
    assert judge is not None
    said = [tiny_corpus.records[int(index)].emotion for index in utterances]
    motions = list(plain_and_tokenized(tiny_task, utterances))
    assert judge.accuracy(motions[::2], said) == 1.0
    assert judge.accuracy(motions[1::2], said) == 1.0


def test_one_emotion_makes_no_judge(tiny_task: AnimationTask, tiny_corpus: Corpus) -> None:
    """Naming the only emotion is always right, which says nothing."""
    neutral = [replace(record, emotion="neutral") for record in tiny_corpus.records]
    alike = SimpleNamespace(records=neutral, split=tiny_corpus.split)
    task = cast("AnimationTask", SimpleNamespace(corpus=alike))
    assert emotion_judge(task) is None

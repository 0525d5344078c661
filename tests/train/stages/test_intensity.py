"""The order of intensities: what is asked of a policy, and which recordings frame it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from esarm_env.metrics import IntensityJudge
from esarm_env.task.conditions import INTENSITY_SLICE
from train.rows import RECORDINGS, TOKENIZER, Row, greedy
from train.run.settings.sections import EvaluateConfig
from train.stages import measures
from train.stages.measures import intensity_rows


@pytest.fixture
def graded(tiny_corpus):
    """The tiny corpus, all happy, with intensities in turn: a corpus for the judge to read."""
    records = [
        replace(record, emotion="happy", speaker="anna", intensity=number % 3 + 1)
        for number, record in enumerate(tiny_corpus.records)
    ]
    held = {"train": np.arange(6), "validation": np.arange(0), "test": np.arange(6, 12)}

    class Graded:
        captured = tiny_corpus.captured
        content_hash = "graded"
        name = "graded"

        def __init__(self):
            self.records = records

        def __len__(self):
            return len(records)

        def __getitem__(self, index):
            return tiny_corpus[index]

        def split(self, name):
            return held[name]

    return Graded()


@pytest.fixture
def task(graded, tiny_task):
    """The tiny task over it."""
    return replace(tiny_task, corpus=graded)


def test_each_utterance_is_asked_for_at_three_intensities(task, monkeypatch):
    """Under its own condition thrice, every policy would fail, and at random one in six pass."""
    asked = []

    def generate(policy, task, utterances, *, condition, decoding, seeds):
        asked.append((utterances, condition.copy(), decoding, seeds))
        recorded = task.recorded(utterances)
        return SimpleNamespace(tokens=recorded.tokens, lengths=recorded.lengths)

    monkeypatch.setattr(measures, "generate", generate)
    rows = intensity_rows(task, {"clone": None}, EvaluateConfig(), seed=0)
    assert list(rows) == [Row(RECORDINGS), Row(TOKENIZER), greedy("clone")]
    ((utterances, condition, decoding, _),) = asked
    np.testing.assert_array_equal(utterances, np.repeat(np.arange(6, 12), 3))
    levels = condition[:, INTENSITY_SLICE]
    np.testing.assert_array_equal(levels, np.tile(np.eye(3), (6, 1)))
    kept = np.delete(condition, range(INTENSITY_SLICE.start, INTENSITY_SLICE.stop), axis=1)
    own = np.delete(
        task.condition_of(utterances), range(INTENSITY_SLICE.start, INTENSITY_SLICE.stop), axis=1
    )
    np.testing.assert_array_equal(kept, own)
    assert decoding.temperature == 0
    # It wrote the same thrice: no order.
    np.testing.assert_array_equal(rows[greedy("clone")]["intensity_order"], np.zeros(6))


def test_recorded_triples_are_of_one_speaker_and_emotion_by_intensity(task, monkeypatch):
    """Each recording once, the weak one first; a judge that reads the truth finds all in order."""
    judged = []

    def strengths(self, motions, emotions):
        judged.append(len(list(motions)))
        return np.tile([1.0, 2.0, 3.0], len(emotions) // 3)

    monkeypatch.setattr(IntensityJudge, "strengths", strengths)
    monkeypatch.setattr(
        measures, "generate", lambda policy, task, utterances, **_: task.recorded(utterances)
    )
    rows = intensity_rows(task, {}, EvaluateConfig(), seed=0)
    np.testing.assert_array_equal(rows[Row(RECORDINGS)]["intensity_order"], [1, 1])
    assert judged == [6, 6]
    triples = measures._recorded_triples(
        task, np.arange(6, 12), IntensityJudge({"happy": (np.zeros(1), np.zeros(1), 0.0)})
    )
    levels = [[task.corpus.records[i].intensity for i in triple] for triple in triples.tolist()]
    assert levels == [[1, 2, 3], [1, 2, 3]]


def test_a_corpus_without_three_intensities_is_not_judged(task):
    """A policy cannot know what nobody showed it; the report then has no such table."""
    for number, record in enumerate(task.corpus.records):
        task.corpus.records[number] = replace(record, intensity=min(record.intensity, 2))
    assert intensity_rows(task, {}, EvaluateConfig(), seed=0) == {}

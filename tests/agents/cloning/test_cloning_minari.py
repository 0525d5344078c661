"""Minari data sets: a round trip keeps everything, slim, and strangers are turned away."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.cloning import Demonstrations
from agents.cloning.minari import from_minari, to_minari
from agents.protocols import SequenceTask

MakeTask = Callable[..., SequenceTask]

minari = pytest.importorskip("minari")

IDS = [f"speaker_{number:02d}" for number in range(12)]
ROWS = np.array([9, 0, 5, 9])


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep data sets out of the home folder."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


@pytest.fixture
def demonstrations(task: SequenceTask) -> Demonstrations:
    """Return four sequences under conditions that are not the recorded ones."""
    made = Demonstrations.recorded(task, ROWS)
    return replace(made, condition=made.condition + 0.125)


def _assert_equal(one: Demonstrations, two: Demonstrations) -> None:
    for name in ("utterances", "tokens", "lengths", "condition"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


@pytest.mark.parametrize("reopen", [False, True])
def test_a_round_trip_keeps_everything(
    task: SequenceTask, demonstrations: Demonstrations, reopen: bool
) -> None:
    """From the file too: tokens, lengths, the conditions to the last bit, and the order."""
    dataset = to_minari(demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=IDS)
    if reopen:
        dataset = minari.load_dataset("toy/clone-v0")
    _assert_equal(from_minari(dataset, task, utterance_ids=IDS), demonstrations)


def test_many_episodes_keep_their_order(task: SequenceTask) -> None:
    """Sorted as text, episode 10 comes before episode 2."""
    many = Demonstrations.recorded(task, np.arange(24)[::-1] % 12)
    dataset = to_minari(many, task, dataset_id="toy/clone-v0", utterance_ids=IDS)
    _assert_equal(from_minari(dataset, task, utterance_ids=IDS), many)


def test_utterances_are_found_by_id_and_not_by_index(
    task: SequenceTask, demonstrations: Demonstrations
) -> None:
    """Another copy of a corpus may be sorted another way; toy utterances 8 and 9 are alike long."""
    dataset = to_minari(demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=IDS)
    swapped = [*IDS[:8], IDS[9], IDS[8], *IDS[10:]]
    found = from_minari(dataset, task, utterance_ids=swapped)
    assert found.utterances.tolist() == [8, 0, 5, 8]


def test_a_filtered_data_set_keeps_metadata_and_tokens_together(
    task: SequenceTask, demonstrations: Demonstrations
) -> None:
    """Episode numbers are then no longer 0, 1, 2."""
    dataset = to_minari(demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=IDS)
    kept = dataset.filter_episodes(lambda episode: episode.id in (2, 3))
    found = from_minari(kept, task, utterance_ids=IDS)
    _assert_equal(found, demonstrations.rows(np.array([2, 3])))


def test_episodes_are_slim_and_pay_at_the_end(
    task: SequenceTask, demonstrations: Demonstrations
) -> None:
    """Audio in every observation is 30 times the size; other learners read these arrays as is."""
    scores = np.array([0.5, 1.0, 0.25, -1.0], dtype=np.float32)
    dataset = to_minari(
        demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=IDS, scores=scores
    )
    episode = dataset[2]  # utterance 5 has 4 tokens, 2 in a chunk
    a, b, c, d = demonstrations.tokens[2, :4].tolist()
    assert episode.actions.tolist() == [a, b, c, d]
    assert episode.rewards.tolist() == [0, 0, 0, 0.25]
    assert episode.terminations.tolist() == [False, False, False, True]
    assert not episode.truncations.any()
    assert set(episode.observations) == {"last_tokens", "step"}
    assert episode.observations["step"].ravel().tolist() == [0, 1, 2, 3, 4]
    assert episode.observations["last_tokens"].tolist() == [
        [-1, -1], [-1, a], [a, b], [b, c], [c, d]
    ]  # fmt: skip
    first = {key: value[0] for key, value in episode.observations.items()}
    assert dataset.observation_space.contains(first)


def test_metadata_without_a_condition_means_the_recorded_one(task: SequenceTask) -> None:
    """Data sets of others need name no more than the utterance."""
    recorded = Demonstrations.recorded(task, ROWS)
    dataset = to_minari(recorded, task, dataset_id="toy/clone-v0", utterance_ids=IDS)

    class Storage:
        def get_episode_metadata(self, indices: Any) -> Any:
            for entry in dataset.storage.get_episode_metadata(indices):
                yield {"utterance_id": entry["utterance_id"]}

    class Bare:
        storage, id, episode_indices = Storage(), dataset.id, dataset.episode_indices
        iterate_episodes = staticmethod(dataset.iterate_episodes)

        def __len__(self) -> int:
            return len(dataset)

    _assert_equal(from_minari(Bare(), task, utterance_ids=IDS), recorded)


def test_unknown_utterances_are_named(task: SequenceTask, demonstrations: Demonstrations) -> None:
    """A data set of another corpus must not be cloned to some audio or other."""
    dataset = to_minari(demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=IDS)
    others = ["else", *IDS[1:]]
    rule = "`utterance_id` of every episode must be an utterance of the task, got ['speaker_00']"
    with pytest.raises(ValueError, match=re.escape(rule)):
        from_minari(dataset, task, utterance_ids=others)


def test_a_data_set_of_another_tokenizer_is_rejected(make_task: MakeTask) -> None:
    """Its tokens mean other motion, or none."""
    rich, poor = make_task(12, n_tokens=6), make_task(12, n_tokens=5)
    made = Demonstrations.recorded(rich, np.array([4]))  # tokens 4 and 5
    dataset = to_minari(made, rich, dataset_id="toy/clone-v0", utterance_ids=IDS)
    with pytest.raises(ValueError, match=re.escape("`tokens` must be below 5, got 5")):
        from_minari(dataset, poor, utterance_ids=IDS)


def test_an_empty_data_set_is_rejected(task: SequenceTask, demonstrations: Demonstrations) -> None:
    """A filter that lets nothing through is a mistake to name."""
    dataset = to_minari(demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=IDS)
    empty = dataset.filter_episodes(lambda _: False)
    with pytest.raises(ValueError, match=re.escape("`dataset` must hold at least one episode")):
        from_minari(empty, task, utterance_ids=IDS)


@pytest.mark.parametrize("ids", [IDS[:11], [*IDS[:11], IDS[0]]])
def test_ids_that_do_not_name_every_utterance_are_rejected(
    task: SequenceTask, demonstrations: Demonstrations, ids: list[str]
) -> None:
    """Twice the same id, and one of the two would lose its motion to the other."""
    with pytest.raises(ValueError, match=re.escape("`utterance_ids` must be 12 different ids")):
        to_minari(demonstrations, task, dataset_id="toy/clone-v0", utterance_ids=ids)


def test_scores_of_another_number_are_rejected(
    task: SequenceTask, demonstrations: Demonstrations
) -> None:
    """Every sequence has one score."""
    with pytest.raises(ValueError, match=re.escape("`scores` must have shape (4,), got (3,)")):
        to_minari(
            demonstrations,
            task,
            dataset_id="toy/clone-v0",
            utterance_ids=IDS,
            scores=np.zeros(3, np.float32),
        )

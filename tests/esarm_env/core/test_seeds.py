"""Seeds of sequences: from what a sequence is, never from its batch."""

from __future__ import annotations

import numpy as np

from esarm_env.core.seeds import FirstSample, occurrence_numbers, sequence_seeds


def test_repeats_are_numbered_in_their_order() -> None:
    """The number seeds the sample: two alike would write one sequence twice."""
    assert occurrence_numbers(np.array([5, 3, 5, 5, 9, 3])).tolist() == [0, 0, 1, 2, 0, 1]
    assert occurrence_numbers(np.array([], dtype=np.int64)).tolist() == []


def test_a_seed_is_run_iteration_utterance_and_sample() -> None:
    """Another order of the four, and no earlier run could be repeated."""
    utterances = np.array([7, 3])
    seeds = sequence_seeds(run_seed=1, iteration=2, utterances=utterances, samples=np.array([4, 5]))
    assert seeds.tolist() == [[1, 2, 7, 4], [1, 2, 3, 5]]
    assert seeds.dtype == np.int64
    alike = sequence_seeds(run_seed=1, iteration=2, utterances=utterances, samples=9)
    assert alike.tolist() == [[1, 2, 7, 9], [1, 2, 3, 9]]


def test_sample_numbers_of_purposes_stay_what_they_were() -> None:
    """Another number is another random choice: shipped figures could not be made again."""
    assert [*map(int, FirstSample.__members__.values())] == [
        *(0, 10_000, 20_000, 20_000, 30_000, 40_000)
    ]
    seeds = sequence_seeds(
        run_seed=0, iteration=0, utterances=np.array([3]), samples=FirstSample.CONSENSUS
    )
    assert seeds.tolist() == [[0, 0, 3, 10_000]]

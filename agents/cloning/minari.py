"""Demonstrations to and from Minari data sets (needs the extra `minari`).

Observations are slim: position and last tokens, a few bytes a step. Audio is not copied; each
episode's metadata names its utterance instead, and the task gives its audio again. The index of
an utterance may differ between two copies of a corpus, its id does not.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from agents.cloning.demonstrations import Demonstrations
from esarm_env.core.errors import MissingExtraError

if TYPE_CHECKING:
    from minari import MinariDataset
    from minari.data_collector import EpisodeBuffer

    from agents.protocols import FloatArray, IntArray, SequenceTask

UTTERANCE_ID, CONDITION = "utterance_id", "condition"
DESCRIPTION = "Motion tokens; the metadata of an episode names its utterance."


def to_minari(
    demonstrations: Demonstrations,
    task: SequenceTask,
    *,
    dataset_id: str,
    utterance_ids: Sequence[str],
    scores: FloatArray | None = None,
    **details: Any,
) -> MinariDataset:
    """Write `demonstrations` as a local data set; one episode each, one token a step.

    Args:
        demonstrations: What to write.
        task: The task they belong to.
        dataset_id: Such as "esarm/recorded-v0"; must not exist yet.
        utterance_ids: Id of every utterance of `task`, by index.
        scores: Shape (N,), reward of each sequence, paid with its last token; by default 0.
        **details: For Minari: `author`, `author_email`, `code_permalink`, `algorithm_name`.

    Raises:
        ImportError: If Minari is not installed.
        ValueError: If demonstrations or ids do not fit `task`, or the data set exists.
    """
    minari = _minari()
    demonstrations.check_for(task)
    _check_ids(utterance_ids, task)
    paid = np.zeros(len(demonstrations), np.float32) if scores is None else np.asarray(scores)
    if paid.shape != (len(demonstrations),):
        raise ValueError(f"`scores` must have shape {(len(demonstrations),)}, got {paid.shape}")
    episodes = [
        _episode(demonstrations.tokens[row, :length], float(paid[row]), task)
        for row, length in enumerate(demonstrations.lengths)
    ]
    with warnings.catch_warnings():
        # Minari reminds of each of `details` that is absent; they are the caller's to give.
        warnings.filterwarnings(
            "ignore", message=".*(is set to|env_spec is) None", category=UserWarning
        )
        dataset: MinariDataset = minari.create_dataset_from_buffers(
            dataset_id,
            episodes,
            observation_space=_observation_space(task),
            action_space=spaces.Discrete(task.n_tokens),
            **{"description": DESCRIPTION} | details,
        )
    dataset.storage.update_episode_metadata(
        {UTTERANCE_ID: utterance_ids[utterance], CONDITION: condition.tolist()}
        for utterance, condition in zip(
            demonstrations.utterances, demonstrations.condition, strict=True
        )
    )
    return dataset


def from_minari(
    dataset: MinariDataset, task: SequenceTask, *, utterance_ids: Sequence[str]
) -> Demonstrations:
    """Return the episodes of `dataset` as demonstrations for `task`.

    Args:
        dataset: As `to_minari` wrote it, perhaps filtered; the metadata of each episode holds
            `utterance_id` and, unless the recorded one is meant, `condition`.
        task: Whose audio the episodes go with.
        utterance_ids: Id of every utterance of `task`, by index.

    Raises:
        ValueError: If there are no episodes, one names no utterance or an unknown one, or they do
            not fit `task`.
    """
    _check_ids(utterance_ids, task)
    if len(dataset) == 0:
        raise ValueError(f"`dataset` must hold at least one episode, got none in {dataset.id}")
    index_of = {name: index for index, name in enumerate(utterance_ids)}
    metadata = list(dataset.storage.get_episode_metadata(dataset.episode_indices))
    names = [entry.get(UTTERANCE_ID) for entry in metadata]
    unknown = [name for name in names if name not in index_of]
    if unknown:
        raise ValueError(
            f"`{UTTERANCE_ID}` of every episode must be an utterance of the task, "
            f"got {unknown[:4]} in {dataset.id}"
        )
    utterances = np.array([index_of[name] for name in names], dtype=np.int64)
    recorded = task.condition_of(utterances)
    condition = [
        np.asarray(entry.get(CONDITION, own), dtype=np.float32)
        for entry, own in zip(metadata, recorded, strict=True)
    ]
    actions = [np.asarray(episode.actions) for episode in dataset.iterate_episodes()]
    lengths = np.array([len(episode) for episode in actions], dtype=np.int64)
    tokens = np.full((len(actions), int(lengths.max())), -1, dtype=np.int64)
    for row, episode in enumerate(actions):
        tokens[row, : len(episode)] = episode
    made = Demonstrations(utterances, tokens, lengths, np.stack(condition))
    made.check_for(task)
    return made


def _minari() -> ModuleType:
    try:
        import minari
    except ImportError as error:
        purpose = "writing Minari data sets"
        raise MissingExtraError("minari", extra="minari", purpose=purpose) from error
    module: ModuleType = minari
    return module


def _check_ids(utterance_ids: Sequence[str], task: SequenceTask) -> None:
    n_utterances, n_ids = len(task.lengths), len(set(utterance_ids))
    if len(utterance_ids) != n_utterances or n_ids != n_utterances:
        raise ValueError(
            f"`utterance_ids` must be {n_utterances} different ids (one per utterance of the "
            f"task), got {len(utterance_ids)}, {n_ids} of them different"
        )


def _observation_space(task: SequenceTask) -> spaces.Dict:
    return spaces.Dict(
        {
            "last_tokens": spaces.Box(-1, task.n_tokens - 1, (task.tokens_per_chunk,), np.int64),
            "step": spaces.Box(0, int(task.lengths.max()), (1,), np.int64),
        }
    )


def _episode(tokens: IntArray, score: float, task: SequenceTask) -> EpisodeBuffer:
    """Return one episode; built by hand, since Minari's collector would need jax."""
    from minari.data_collector import EpisodeBuffer

    length = len(tokens)
    past = np.concatenate([np.full(task.tokens_per_chunk, -1), tokens])
    last = np.lib.stride_tricks.sliding_window_view(past, task.tokens_per_chunk)  # (L + 1, S)
    final = [False] * (length - 1) + [True]
    return EpisodeBuffer(
        observations={
            "last_tokens": list(last),
            "step": list(np.arange(length + 1, dtype=np.int64)[:, None]),
        },
        actions=list(tokens),
        rewards=[score if done else 0.0 for done in final],
        terminations=final,
        truncations=[False] * length,
        infos={},
    )

"""Messages of reward servers, version 1: JSON there and back, as `docs/howto/rewards.md` has them.

Motion goes as base64 of little-endian float32, which any language reads and no digit is lost of.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.types import EMOTIONS, FRAME_RATE_HZ, N_CHANNELS, WHOLE_FACE
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.task.conditions import EMOTION_SLICE, INTENSITY_SLICE, SPEAKER_START

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

VERSION = 1
_KINDS = {list: "a list", dict: "an object", str: "a text", bool: "true or false"}


class ProtocolError(ValueError):
    """An answer is not as the protocol says: `RULE, got VALUE`."""


@dataclass(frozen=True)
class Abilities:
    """What a server says of itself in answer to a batch without episodes.

    Attributes:
        needs_ground_truth: Whether it looks at recorded motion, which it must know by itself.
        chunk_streams: Columns of its scores by chunk; empty where it scores whole animations.
    """

    needs_ground_truth: bool = False
    chunk_streams: tuple[str, ...] = ()


def request(task: AnimationTask | None, trajectories: Trajectories | None = None) -> bytes:
    """Return a batch of finished animations as the body of a request.

    Without `trajectories` it is a greeting, which a run sends also before it has a task.
    """
    message: dict[str, Any] = {
        "version": VERSION,
        "rate_hz": FRAME_RATE_HZ,
        "channels": list(ARKIT_NAMES),
        "episodes": [],
    }
    if task is not None:
        message["corpus"] = task.corpus.name
        message["token_streams"] = list(task.token_streams)
        message["frames_per_chunk"] = task.tokenizer.frames_per_chunk
        if trajectories is not None:
            message["episodes"] = _episodes(task, trajectories)
    return json.dumps(message).encode()


def _episodes(task: AnimationTask, trajectories: Trajectories) -> list[dict[str, Any]]:
    motions = task.decode_chunks(trajectories)
    episodes = []
    for row, motion in enumerate(motions):
        index = int(trajectories.utterance[row])
        record = task.corpus.records[index]
        tokens = trajectories.tokens[row, : trajectories.lengths[row]]
        episodes.append(
            {
                "id": record.id,
                "index": index,
                "text": record.text,
                "recorded": {
                    "speaker": record.speaker,
                    "emotion": record.emotion,
                    "intensity": record.intensity,
                },
                "condition": _condition(task, trajectories.condition[row]),
                "tokens": tokens.tolist(),
                "motion": _motion(motion[: record.n_frames]),
            }
        )
    return episodes


def _condition(task: AnimationTask, vector: FloatArray) -> dict[str, Any]:
    """Return a condition in words beside its numbers: a blend has several emotions."""
    emotions = vector[EMOTION_SLICE]
    strengths = vector[INTENSITY_SLICE]
    speaker = vector[SPEAKER_START:]
    levels = np.arange(1, len(strengths) + 1)
    known = len(speaker) > 0 and speaker.max() > 0
    return {
        "emotions": {EMOTIONS[i]: float(emotions[i]) for i in np.flatnonzero(emotions)},
        "intensity": float(strengths @ levels / max(float(strengths.sum()), 1e-9)),
        "speaker": task.conditions.speakers[int(speaker.argmax())] if known else None,
        "vector": vector.tolist(),
    }


def _motion(motion: FloatArray) -> dict[str, Any]:
    data = np.ascontiguousarray(motion, dtype="<f4").tobytes()
    shape = [len(motion), N_CHANNELS]
    return {"shape": shape, "dtype": "float32", "base64": base64.b64encode(data).decode()}


def read_abilities(body: bytes, *, token_streams: Sequence[str]) -> Abilities:
    """Return what a server answers to a greeting.

    Raises:
        ProtocolError: If that is not as the protocol says.
    """
    reply = _reply(body)
    _numbers(reply, "scores", 0)
    needs = reply.get("needs_ground_truth", False)
    if not isinstance(needs, bool):
        raise ProtocolError(f"`needs_ground_truth` must be true or false, got {_shown(needs)}")
    streams = reply.get("chunk_streams", [])
    known = [*dict.fromkeys(token_streams), WHOLE_FACE]
    fits = isinstance(streams, list) and all(each in known for each in streams)
    if not fits or len(set(streams)) < len(streams):
        raise ProtocolError(
            f"`chunk_streams` must be some of {known}, each once, got {_shown(streams)}"
        )
    return Abilities(needs, tuple(streams))


def read_scores(body: bytes, ids: Sequence[str]) -> FloatArray:
    """Return the scores of animations of `ids`, shape (N,).

    Raises:
        ProtocolError: If there are not as many finite numbers.
    """
    found = _numbers(_reply(body), "scores", len(ids), [f"of {name!r}" for name in ids])
    return np.array(found, dtype=np.float32)


def read_chunks(
    body: bytes, ids: Sequence[str], *, counts: Sequence[int], columns: int
) -> FloatArray:
    """Return the scores by chunk, shape (N, C, `columns`), zeros past each one's last chunk.

    Args:
        body: The answer.
        ids: Of the animations' utterances.
        counts: Chunks of each.
        columns: Of the server's `chunk_streams`.

    Raises:
        ProtocolError: If there are not as many finite numbers.
    """
    given: Any = _reply(body).get("chunks")
    _check_list(given, "chunks", len(ids))
    chunks = np.zeros((len(ids), max(counts, default=0), columns), dtype=np.float32)
    for row, (name, count) in enumerate(zip(ids, counts, strict=True)):
        of = f"chunks of {name!r}"
        _check_list(given[row], of, count)
        for place, cells in enumerate(given[row]):
            found = _numbers({of: cells}, of, columns, [f"in chunk {place}"] * columns)
            chunks[row, place] = found
    return chunks


def _reply(body: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        text = body[:60].decode("utf-8", "replace")
        raise ProtocolError(f"must answer with JSON, got {text!r}") from error
    if not isinstance(reply, dict):
        raise ProtocolError(f"must answer with an object, got {_shown(reply)}")
    version = reply.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise ProtocolError(f"`version` of its answer must be {VERSION}, got {_shown(version)}")
    return reply


def _numbers(
    reply: dict[str, Any], key: str, n: int, names: Sequence[str] | None = None
) -> list[float]:
    """Return `n` finite numbers that float32 can hold."""
    values = reply.get(key)
    _check_list(values, key, n)
    largest = float(np.finfo(np.float32).max)
    for row, value in enumerate(values or ()):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not abs(value) <= largest:  # nan is not, either
            whose = f" {names[row]}" if names else ""
            raise ProtocolError(f"`{key}` must be finite numbers, got {_shown(value)}{whose}")
    return [float(value) for value in values or ()]


def _check_list(values: Any, key: str, n: int) -> None:
    if not isinstance(values, list) or len(values) != n:
        got = f"{len(values)} of them" if isinstance(values, list) else _shown(values)
        raise ProtocolError(f"`{key}` must be a list of {n}, got {got}")


def _shown(value: Any) -> str:
    """Return a value of JSON in a few letters."""
    if value is None:
        return "none"
    kind = _KINDS.get(type(value))
    text = repr(value)
    return text if len(text) <= 60 else (f"{kind} of {len(text)} letters" if kind else text[:60])

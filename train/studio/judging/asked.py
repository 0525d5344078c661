"""What is to be judged, as the page asks for it and the folder of the answers keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import read_json, write_json
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from train.studio.asking import Asked

# Names of `agents.rollout.named_decoding`, whose import takes seconds of torch.
SAMPLED, BY_MEDIAN = "sampled", "median"
DECODINGS = (SAMPLED, "auto", "greedy", "expected-distance", BY_MEDIAN)
ASKED_FILE = "judging.json"
_DRAWN = (SAMPLED, BY_MEDIAN)
_MOST_SAMPLES, _MOST_UTTERANCES = 8, 100_000
_REMEDY = "delete it, and choose on the page again what is judged"


@dataclass(frozen=True)
class PoolAsked:
    """Animations that are to be judged, two or more of each utterance.

    Attributes:
        policies: Names of the run's policies.
        decodings: Of `DECODINGS`.
        samples: How often each policy animates an utterance where its decoding draws.
        recordings: Whether recorded motion is among them.
        utterances: Of training and validation, evenly spaced; 0 means all.
        seed: Of sampling, sides and order.
    """

    policies: tuple[str, ...]
    decodings: tuple[str, ...] = (SAMPLED,)
    samples: int = 2
    recordings: bool = True
    utterances: int = 60
    seed: int = 0

    @property
    def ways(self) -> list[tuple[str, str, int]]:
        """Policy, decoding and number of the sample of each animation of an utterance."""
        return [
            (policy, decoding, number)
            for policy in self.policies
            for decoding in self.decodings
            for number in range(self.samples if decoding in _DRAWN else 1)
        ]


def pool_asked(asked: Asked, known: Sequence[str]) -> PoolAsked:
    """Return what a request asks for.

    Args:
        asked: Its fields.
        known: Policies of the run; all of them where none is named.

    Raises:
        InputError: If a field is out of its range, or there would be nothing to compare.
    """
    made = PoolAsked(
        _some("policies", asked.maybe("policies"), known, known),
        _some("decodings", asked.maybe("decodings"), DECODINGS, (SAMPLED,)),
        asked.whole("samples", 1, _MOST_SAMPLES, 2),
        asked.flag("recordings", True),
        asked.whole("utterances", 0, _MOST_UTTERANCES, 60),
        asked.whole("seed", 0, 2**31 - 1, 0),
    )
    asked.done()
    n = len(made.ways) + made.recordings
    if n < 2:
        raise InputError(
            f"there must be two or more animations of each utterance to compare, got {n}; add "
            "policies, decodings, samples or recordings"
        )
    return made


def _some(
    name: str, given: object, known: Sequence[str], default: Sequence[str]
) -> tuple[str, ...]:
    """Return the given names in the order of `known`."""
    if given is None:
        return tuple(default)
    if not isinstance(given, list) or not given or not all(each in known for each in given):
        raise InputError(f"`{name}` must be among {', '.join(known)}, got {given!r:.80}")
    return tuple(each for each in known if each in given)


def save_asked(asked: PoolAsked, done: int, folder: Path) -> None:
    """Note what was asked for, and of how many utterances it is made."""
    write_json(folder / ASKED_FILE, {"asked": asdict(asked), "done": done})


def read_asked_file(folder: Path) -> tuple[PoolAsked, int] | None:
    """Return what `save_asked` noted; None where nothing was asked yet.

    Raises:
        InputError: If the note is damaged.
    """
    file = folder / ASKED_FILE
    if not file.is_file():
        return None
    found = read_json(file, "a note of what is judged", remedy=_REMEDY)
    try:
        fields: dict[str, Any] = dict(found["asked"])
        for name in ("policies", "decodings"):
            fields[name] = tuple(str(each) for each in fields[name])
        return PoolAsked(**fields), int(found["done"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: must be a note of what is judged, got {error!r}; {_REMEDY}"
        ) from error

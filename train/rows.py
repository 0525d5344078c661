"""Identity and labels of result rows (no formatting): whose animations, decoded how.

A summary on disk lists rows as objects with `label`, the fields of `Row` and `figures`. Before
version 0.2 they were keyed by their labels, which is still read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from esarm_env.core.errors import InputError

RECORDINGS, TOKENIZER, MEAN_FACE, POLICY = "recordings", "tokenizer", "mean face", "policy"
REGRESSOR = "regressor"
GREEDY, EXPECTED, SAMPLED, NOISY = "greedy", "expected distance", "sampled", "noisy"
MEDIAN = "median"  # of several samples; of Table I alone, since it takes as many roll-outs
# That each policy is measured with; by expected distance where it knows the distances of codes.
DECODINGS = (GREEDY, EXPECTED, SAMPLED)

# Of sources without a policy: in the main table, and in that of all metrics.
_LABELS = {
    RECORDINGS: ("recordings", "recordings"),
    TOKENIZER: ("recordings through the tokenizer", "through the tokenizer"),
    MEAN_FACE: ("mean face of the condition", "mean face"),
    REGRESSOR: ("regressor", "regressor"),
}
# What earlier versions called recordings through the tokenizer.
OLD_LABELS = {"ground truth through the tokenizer": "recordings through the tokenizer"}
_HOW = rf"{'|'.join(DECODINGS)}|epsilon (?P<level>\S+)|sampled at temperature (?P<temperature>\S+)"
_OF_POLICY = re.compile(rf"(?P<policy>.+), (?P<decoding>{_HOW})")


@dataclass(frozen=True)
class Row:
    """What a row of figures is about; hashable, so that figures are found by it.

    Attributes:
        source: `recordings`, `tokenizer` (the recordings through it), `mean face` of the
            condition, `regressor` (of the speech encoder), or `policy`.
        policy: Name of the policy; empty for other sources.
        decoding: `greedy`, `expected distance`, `sampled`, or `noisy` (epsilon-greedy); empty
            without a policy.
        epsilon: Share of random actions of noisy decoding, to six digits; else None.
        temperature: Of sampled decoding, to six digits; None stands for 1, and for no sampling.
    """

    source: str
    policy: str = ""
    decoding: str = ""
    epsilon: float | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        """Check that there are a policy and its decoding just where they mean something."""
        if self.source not in (*_LABELS, POLICY):
            known = ", ".join((*_LABELS, POLICY))
            raise InputError(f"`source` must be one of {known}, got {self.source!r}")
        if (self.source == POLICY) != bool(self.policy):
            raise InputError(
                f"`policy` must be named for the source {POLICY!r} alone, got {self.policy!r} for "
                f"{self.source!r}"
            )
        decodings = (*DECODINGS, NOISY) if self.policy else ("",)
        if self.decoding not in decodings:
            known = ", ".join(map(repr, decodings))
            raise InputError(f"`decoding` must be one of {known}, got {self.decoding!r}")
        if (self.decoding == NOISY) != (self.epsilon is not None):
            raise InputError(
                f"`epsilon` must be given for {NOISY!r} decoding alone, got {self.epsilon} for "
                f"{self.decoding!r}"
            )
        if self.temperature is not None and (self.decoding != SAMPLED or self.temperature == 1):
            raise InputError(
                f"`temperature` must be given for {SAMPLED!r} decoding at another than 1 alone, "
                f"got {self.temperature} for {self.decoding!r}"
            )

    @property
    def label(self) -> str:
        """The row's name in the main table."""
        if self.source != POLICY:
            return _LABELS[self.source][0]
        how = self.decoding if self.epsilon is None else f"epsilon {self.epsilon:g}"
        if self.temperature is not None:
            how = f"{how} at temperature {self.temperature:g}"
        return f"{self.policy}, {how}"

    @property
    def short_label(self) -> str:
        """The row's name in the table of all metrics."""
        return self.label if self.source == POLICY else _LABELS[self.source][1]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that say something, for JSON."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @staticmethod
    def from_label(label: str) -> Row:
        """Return the row that a version before 0.2 called `label`.

        Raises:
            InputError: If it called none so.
        """
        for source, labels in _LABELS.items():
            if OLD_LABELS.get(label, label) in labels:
                return Row(source)
        found = _OF_POLICY.fullmatch(label)
        try:
            if found is None:
                raise ValueError("of another form")
            if found["level"] is not None:
                return noisy(found["policy"], float(found["level"]))
            if found["temperature"] is not None:
                return sampled(found["policy"], float(found["temperature"]))
            return Row(POLICY, found["policy"], found["decoding"])
        except ValueError as error:
            raise InputError(
                f"`label` must be that of a row of results such as 'clone, greedy', got {label!r}; "
                "delete the stage's folder and run it again"
            ) from error


# Other names of what has no policy, by what `method_key` makes of them.
_SAME = {
    "recordings": "recording",
    "ground-truth": "recording",
    "through-the-tokenizer": "tokenizer",
    "recording-through-the-tokenizer": "tokenizer",
    "recordings-through-the-tokenizer": "tokenizer",
    "ground-truth-through-the-tokenizer": "tokenizer",
    "mean-face-of-the-condition": "mean-face",
}


def method_key(name: str) -> str:
    """Return what all spellings of a method's name share: in tables, in figures, and in a shell.

    >>> method_key("clone (expected distance)") == method_key("clone:expected-distance")
    True
    >>> method_key("mean face")
    'mean-face'
    """
    key = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return _SAME.get(key, key)


def method_meant(asked: str, known: Iterable[str]) -> str:
    """Return the one of `known` names of methods that `asked` spells in any way; else `asked`."""
    if asked in (names := list(known)):
        return asked
    return next((name for name in names if method_key(name) == method_key(asked)), asked)


def greedy(policy: str) -> Row:
    """Return the row of a policy's most likely animations."""
    return Row(POLICY, policy, GREEDY)


def expected(policy: str) -> Row:
    """Return the row of a policy's animations of least expected distance, token by token."""
    return Row(POLICY, policy, EXPECTED)


def sampled(policy: str, temperature: float = 1.0) -> Row:
    """Return the row of a policy's sampled animations."""
    at = float(f"{temperature:g}")
    return Row(POLICY, policy, SAMPLED, temperature=None if at == 1 else at)


def noisy(policy: str, epsilon: float) -> Row:
    """Return the row of a policy's epsilon-greedy roll-outs."""
    # Six digits: what was stored in single precision is the same number then.
    return Row(POLICY, policy, NOISY, float(f"{epsilon:g}"))


def rows_to_json(rows: Mapping[Row, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return figures by row as a list that JSON can hold."""
    return [
        {"label": row.label, **row.to_dict(), "figures": dict(figures)}
        for row, figures in rows.items()
    ]


def rows_from_json(content: Any) -> dict[Row, dict[str, Any]]:
    """Return figures by row from what `rows_to_json` made, or an older version wrote.

    Raises:
        InputError: If it is neither.
    """
    if isinstance(content, dict):
        return {Row.from_label(label): dict(figures) for label, figures in content.items()}
    try:
        return {
            Row(**{name: entry[name] for name in Row.__dataclass_fields__ if name in entry}): dict(
                entry["figures"]
            )
            for entry in content
        }
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(
            f"rows of results must be a list of rows with figures, got {error!r}; "
            "delete the stage's folder and run it again"
        ) from error

"""Head of a card in YAML, as model hubs read it: licence, data, metrics and the model index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from esarm_env.core.hub.cards import TAGS
from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import EXPECTED, POLICY, REGRESSOR
from train.sharing.licences import OURS, PUBLISHED, RECORDINGS_LICENCE

if TYPE_CHECKING:
    from train.rows import Row

RECORDINGS = "recordings"  # what they are called: the name of a folder may be somebody's own
_TYPES = {LVE: LVE, EVE: EVE, "score": "learned_score"}
_NAMES = {LVE: "LVE, mm", EVE: "EVE, mm", "score": "learned score (a proxy)"}
_TASK = {"type": "reinforcement-learning", "name": "speech-driven facial animation"}


def front_matter(
    *,
    kind: str,
    title: str,
    policy: str,
    rows: Mapping[Row, Mapping[str, Any]],
    synthetic: str | None,
    ours: bool,
    layout: str | None,
) -> str:
    """Return the head, with its lines of dashes.

    Args:
        kind: What is shared, one of `esarm_env.core.hub.manifest.KINDS`.
        title: Of the card.
        policy: The shared policy.
        rows: Figures (mean, low, high) of the run's evaluation, by row and key.
        synthetic: Name of the corpus if it is one of ours, in which is nobody's voice or face.
        ours: Whether all that was learned from was made by us.
        layout: Of the recordings; None of our own corpora.
    """
    not_commercial = layout in PUBLISHED and PUBLISHED[layout].not_commercial
    dataset = synthetic or RECORDINGS
    tags = [*TAGS, f"esarm-{kind}"]
    tags += ["synthetic-data"] if synthetic else []
    tags += ["non-commercial"] if not_commercial else []
    head: dict[str, Any] = {
        "library_name": "esarm",
        **_licence(ours=ours),
        "pipeline_tag": "reinforcement-learning",
        "tags": tags,
        "datasets": [dataset],
        "metrics": list(_TYPES.values()),
    }
    shown = _shown(policy, rows)
    if shown and kind != "tokenizer":
        name = f"{dataset} (synthetic)" if synthetic else _laid_out(layout)
        result = {
            "task": _TASK,
            "dataset": {"type": dataset, "name": name, "split": "test"},
            "metrics": [each for row in shown for each in _metrics(row, rows[row])],
        }
        head["model-index"] = [{"name": title, "results": [result]}]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).rstrip()}\n---"


def _laid_out(layout: str | None) -> str:
    """Return what is known of recordings: a folder tells how they lie, not whose they are."""
    known = PUBLISHED[layout].name if layout in PUBLISHED and layout is not None else ""
    return RECORDINGS + (f" that lie as those of {known}" if known else "")


def _licence(*, ours: bool) -> dict[str, str]:
    if ours:
        return {"license": OURS.lower()}
    return {"license": "other", "license_name": RECORDINGS_LICENCE, "license_link": "#licence"}


def _shown(policy: str, rows: Mapping[Row, Mapping[str, Any]]) -> list[Row]:
    """Return the row of the policy, by expected distance if it was so decoded, and the yardstick.

    Without the regressor beside it, a figure says nothing of what the policy is worth.
    """
    plain = [
        row for row in rows if row.source == POLICY and row.policy == policy and row.epsilon is None
    ]
    best = sorted(plain, key=lambda row: row.decoding != EXPECTED)[:1]
    return best + [row for row in rows if best and row.source == REGRESSOR]


def _metrics(row: Row, figures: Mapping[str, Sequence[float | None]]) -> list[dict[str, Any]]:
    found = []
    for key, kind in _TYPES.items():
        mean, low, high = figures.get(key) or (None, None, None)
        if mean is None or low is None or high is None:
            continue
        name = f"{_NAMES[key]}: {row.label} [{low:.2f}, {high:.2f}]"
        found.append({"type": kind, "value": round(float(mean), 4), "name": name})
    return found

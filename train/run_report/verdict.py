"""First section of a run's report: best policy, what training changed, what the reward thinks.

Every sentence is computed from the figures below it, and claims no more: where an interval crosses
zero, no difference is told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esarm_env.rewards.registry import WITH_MODEL
from esarm_env.task.episode_metrics import EVE, LVE
from train.rows import (
    GREEDY,
    MEAN_FACE,
    NOISY,
    POLICY,
    RECORDINGS,
    REGRESSOR,
    SAMPLED,
    TOKENIZER,
    Row,
    expected,
    rows_from_json,
)
from train.run.config import is_quick
from train.run.settings.reward_setting import RewardSetting, reward_text
from train.run_report.cells import ARROWS, NO_DIFFERENCE, UNKNOWN, cell, change, header, told
from train.stages.measures import EVE_ENERGY, LVE_ENERGY

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

Rows = Mapping[Row, Mapping[str, Any]]
_MOST_NAMED = 4  # of what a reward prefers to recordings, in one sentence
_QUICK = (
    "**A run to try commands on** (preset `quick`): nothing was trained to its end, and figures "
    "tell nothing of the methods."
)
_TEACHER = "expected-distance"  # of distillation, which asks no reward


def best_row(run: RunFolder) -> Row | None:
    """Return the policy of least error on validation and its decoding; None if that is not noted.

    Raises:
        TypeError: If what was noted is damaged; likewise KeyError and ValueError.
    """
    summary = run.summary("improve")
    if "best_on_validation" not in summary:  # improved by an older version
        return None
    best = summary["best_on_validation"]
    return Row(POLICY, str(best["policy"]), str(best["decoding"]).replace("-", " "))


def reward_name(reward: RewardSetting) -> str:
    """Return a reward as settings name it, in code: a name, or a weighted sum of names."""
    return f"`{reward_text(reward)}`"


def climbs(run: RunFolder, algorithm: str) -> bool:
    """Return whether an algorithm learns from the reward; distillation may only watch it."""
    teacher = run.config.improve.distillation.teacher
    return algorithm != "distillation" or teacher != _TEACHER


def verdict_section(run: RunFolder, results: Mapping[str, Any]) -> str:
    """Return the report's first section."""
    rows, best = rows_from_json(results["rows"]), best_row(run)
    share = round(100 * run.config.evaluate.confidence)
    return "\n".join(
        [
            "## In short",
            "",
            *([_QUICK, ""] if is_quick(run.config) else []),
            *_best_policy(results, rows, best),
            *_changes(run, results),
            "",
            *_opinion(run, rows, best),
            "",
            "Errors are distances in mm from the recorded face, means over "
            f"{results['utterances']} test utterances: LVE at the lips, EVE at eyes and forehead. "
            f"Brackets are {share} % intervals over utterances; better and worse are said where "
            "they leave out zero. They do not cover other training seeds, and this is one.",
        ]
    )


def _best_policy(results: Mapping[str, Any], rows: Rows, best: Row | None) -> list[str]:
    """Say which policy is best on validation, and where it stands on test."""
    if best is None or best not in rows:
        return ["The version that trained this run did not note the best policy on validation.", ""]
    how = f"decoded by {best.decoding}" if best == expected(best.policy) else best.decoding
    errors = rows[best]
    said = [f"**Best policy on validation: `{best.policy}`, {how}.**"]
    if best.policy == "clone":
        said.append("None of the policies trained from it does better there.")
    said.append(f"On the test utterances: {_errors(errors)}.")
    against = [
        ("Against the clone decoded the same way", results["against_clone"]),
        ("Against the regressor, which writes no tokens", results.get("against_regressor", [])),
    ]
    if best.decoding != expected("clone").decoding:
        expecting = results.get("against_expected", [])
        against.append(("Against the clone decoded by expected distance", expecting))
    for what, differences in against:
        words = told(rows_from_json(differences).get(best, {}))
        said += [f"{what}: {words}."] if words else []
    return [" ".join(said), ""]


def _errors(figures: Mapping[str, Any]) -> str:
    """Return both errors with their intervals."""
    known = [(name, figures.get(name, UNKNOWN)) for name in (LVE, EVE)]
    parts = [f"{name.upper()} {cell(each).replace(' [', ' mm [')}" for name, each in known
             if None not in each]  # fmt: skip
    return ", ".join(parts) or "no error is known"


def _changes(run: RunFolder, results: Mapping[str, Any]) -> list[str]:
    """Return what every algorithm changed against the clone, decoding by decoding."""
    differences = rows_from_json(results["against_clone"])
    if not differences:
        return ["No policy was trained on from the clone."]
    energies = rows_from_json(results.get("energy_against_clone", []))
    reward = reward_name(run.config.improve.reward)
    policies = list(dict.fromkeys(row.policy for row in differences))
    climbing = [f"`{name}`" for name in policies if climbs(run, name)]
    others = [f"`{name}`" for name in policies if not climbs(run, name)]
    said = f"The reward {reward} was climbed by {', '.join(climbing) or 'none'}"
    said += f"; {', '.join(others)} asks no reward." if others else "."
    lines = [
        f"{said} What training changed, policy minus clone decoded the same way "
        f"(unclear: {NO_DIFFERENCE}):",
        "",
        header("change", (ARROWS[LVE], ARROWS[EVE])),
    ]
    for policy in policies:
        ways = {row.decoding: row for row in differences if row.policy == policy}
        for way in sorted(ways, key=lambda way: (way != SAMPLED, way != GREEDY)):
            row = ways[way]
            lines.append(_change_line(row.label, differences[row], (LVE, EVE)))
            if row in energies:
                label = f"{row.label}: energy score"
                lines.append(_change_line(label, energies[row], (LVE_ENERGY, EVE_ENERGY)))
    if energies:
        lines += [
            "",
            "Samples come nearer to the recordings merely by varying less; the energy score (of "
            f"{results.get('energy_utterances', 'some')} utterances) gains nothing by that.",
        ]
    return lines


def _change_line(label: str, figures: Mapping[str, Any], keys: tuple[str, str]) -> str:
    """Return a row of differences, each with the word for what it tells."""
    triples = [figures.get(key, UNKNOWN) for key in keys]
    words = [change(triple).replace(NO_DIFFERENCE, "unclear") for triple in triples]
    cells = [f"{cell(t)} {word}" for t, word in zip(triples, words, strict=True)]
    return f"| {label} | " + " | ".join(cells) + " |"


def _opinion(run: RunFolder, rows: Rows, best: Row | None) -> list[str]:
    """Say what the learned score makes of recordings and policies, with a warning if it errs."""
    scores = {row: figures["score"] for row, figures in rows.items() if row.decoding != NOISY}
    named = [Row(RECORDINGS), Row(TOKENIZER), *([best] if best else []), Row(MEAN_FACE)]
    parts = [f"{row.label} {cell(scores[row])}" for row in named if row in scores]
    climbed = run.config.improve.reward
    other = "" if climbed == WITH_MODEL else f", which is not the climbed {reward_name(climbed)}"
    lines = [f"The learned score (higher is meant to be better){other}: {'; '.join(parts)}."]
    policies = {row: each[0] for row, each in scores.items() if row.source == POLICY}
    if policies and LVE in rows[next(iter(policies))]:
        lines += _favourite(rows, policies)
    return [" ".join(lines), *_warnings(scores)]


def _favourite(rows: Rows, scores: Mapping[Row, float]) -> list[str]:
    """Say whether the policy that scores highest is the one with the least error."""
    favourite = max(scores, key=lambda row: scores[row])
    errors = {row: rows[row][LVE][0] for row in scores}
    if None in errors.values():
        return []
    nearest = min(errors, key=lambda row: errors[row])
    if favourite == nearest:
        return [f"The policy that it scores highest, {favourite.label}, has the least LVE, too."]
    return [
        f"The policy that it scores highest is {favourite.label} (LVE {errors[favourite]:.2f} mm); "
        f"the least LVE is that of {nearest.label} ({errors[nearest]:.2f} mm)."
    ]


def _warnings(scores: Mapping[Row, Any]) -> list[str]:
    """Return a warning that names what scores above recordings, or above them in tokens."""
    parts = []
    others = [r for r in scores if r.source in (POLICY, REGRESSOR, MEAN_FACE)]
    for truth in (Row(RECORDINGS), Row(TOKENIZER)):
        if truth not in scores:
            continue
        above = [row for row in others if scores[row][0] > scores[truth][0]]
        above.sort(key=lambda row: -scores[row][0])
        if above:
            names = ", ".join(f"{row.label} ({scores[row][0]:.2f})" for row in above[:_MOST_NAMED])
            more = f" and {len(above) - _MOST_NAMED} more" if len(above) > _MOST_NAMED else ""
            parts.append(f"{names}{more} to {truth.label} ({scores[truth][0]:.2f})")
    if not parts:
        return []
    said = f"**Warning: the learned score prefers {', and '.join(parts)}.**"
    return ["", f"{said} A high score does not mean being like a recorded face."]

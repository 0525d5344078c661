"""Section of the reward report about raters: agreement before and after, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import read_json
from esarm_env.core.run_layout import MEASURED_FOLDER, RATERS_FILE, is_finished
from esarm_env.task.episode_metrics import EVE, LVE
from train.experiments.folders import experiments_of

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

_OF_POLICY = {"climbed": "its reward", LVE: "LVE (mm)", EVE: "EVE (mm)", "score": "run's score"}

_LIKED_SHOWN = 5
ENOUGH_PAIRS = 100  # at which simulated raters' taste was learnt (`esarm bench raters`)


def raters_facts(run: RunFolder) -> list[dict[str, Any]]:
    """Return what raters said of a run's reward and of its experiments' rewards.

    Args:
        run: With the stage `reward`.

    Returns:
        For each reward that learned from raters its `name`, what `raters.json` holds, and of an
        experiment `changes` of its policies against the clone, sampled, by figure.
    """
    found = []
    for name, folder in {"": run.path, **experiments_of(run)}.items():
        file = folder / "reward" / RATERS_FILE
        if not file.is_file() or (name and _is_of_run(run, folder)):
            continue
        told = read_json(file, "what raters said", remedy=f"delete {file}")
        fact = {"name": name, **told, "changes": {}}
        if name and is_finished(folder, MEASURED_FOLDER):
            fact["changes"] = _changes(run, name)
        found.append(fact)
    return found


def raters_section(facts: Sequence[Mapping[str, Any]]) -> str:
    """Return the section as Markdown; without raters, how to ask some."""
    if not facts:
        return (
            "## Raters\n\nNo person has judged this reward. Pairs that people judge correct it: "
            "the how-to on preferences says how."
        )
    lines = [
        "## Raters",
        "",
        "Agreement is the share of decided pairs whose better animation, by a rater, scores more; "
        "on utterances that nothing was learned from, in brackets 95 % intervals over utterances; "
        "a consensus reward learns from them too, once that is measured. "
        "A rater who does not repeat their own answers cannot be foretold better than that.",
    ]
    for fact in facts:
        lines += ["", *_of(fact)]
    return "\n".join(lines)


def raters_line(run: RunFolder) -> str:
    """Return in a line what raters came to in the reward of a run; empty where there were none."""
    file = run.path / "reward" / RATERS_FILE
    if not file.is_file():
        return ""
    told = read_json(file, "what raters said", remedy=f"delete {file}")
    few = "; simulated raters needed about 100" if told["learned_pairs"] < ENOUGH_PAIRS else ""
    return (
        f"raters: {told['learned_pairs']} pairs learned{few}; {told['held_out_pairs']} held out, "
        f"of which the reward agrees with {_share(told['before'])} before and "
        f"{_share(told['after'])} after"
    )


def _of(fact: Mapping[str, Any]) -> list[str]:
    name = f"Experiment `{fact['name']}`" if fact["name"] else "The run's reward"
    said, left_out = fact["agreement"], fact["left_out"]
    answers = said["answers"]
    lines = [
        f"### {name}",
        "",
        f"- answers: {sum(answers.values())} by {len(answers)} raters "
        f"({', '.join(f'{rater} {n}' for rater, n in answers.items())}); {said['ties']} ties, "
        f"{said['cannot_tell']} cannot tell",
        f"- learned from {fact['learned_pairs']} pairs; {fact['held_out_pairs']} held out"
        + (" until agreement was measured" if fact["kept_pairs"] > fact["learned_pairs"] else "")
        + f"; {len(left_out)} left out"
        + (f", such as: {left_out[0]}" if left_out else ""),
        f"- held-out agreement with raters: before {_share(fact['before'])}, after "
        f"{_share(fact['after'])}"
        + (
            f"; raters' part alone {_share(fact['raters_alone'])}" if "raters_alone" in fact else ""
        ),
        *_liked(fact.get("liked", [])),
        "- raters with themselves: "
        + (
            f"{_plain(said['with_itself'])} of {said['repeats']} hidden repeats alike (kappa "
            f"{_number(said['kappa_with_itself'])})"
            if said["repeats"]
            else "no hidden repeat was asked yet"
        ),
        "- raters with each other: "
        + (
            f"{_plain(said['between'])} of {said['shared']} shared pairs alike (Krippendorff's "
            f"alpha {_number(said['alpha'])})"
            if said["shared"]
            else "no pair was shared yet"
        ),
        f"- the left side was preferred in {_plain(said['left'])} of decided answers",
    ]
    for policy, changes in fact["changes"].items():
        told = [
            f"{_OF_POLICY[key]} {c[0]:+.2f} [{c[1]:+.2f}, {c[2]:+.2f}]"
            for key, c in changes.items()
        ]
        lines.append(f"- improving on it: `{policy}` minus the clone, sampled: {'; '.join(told)}")
    return lines


def _liked(liked: Sequence[tuple[str, float]]) -> list[str]:
    """Return a line that names what the reward has learned to pay for, if anything."""
    if not liked:
        return []
    named = [f"{'more' if share > 0 else 'less'} {name} ({abs(share):.0%})"
             for name, share in liked[:_LIKED_SHOWN]]  # fmt: skip
    return [f"- what it learned that raters like: {', '.join(named)}"]


def _changes(run: RunFolder, name: str) -> dict[str, dict[str, list[float]]]:
    """Return changes of an experiment's sampled policies against the clone."""
    from train.experiments.comparison import compare_run

    compared = compare_run(run, [name])
    mine = {policy.name for policy in compared.policies if policy.source == "experiment"}
    return {
        line.row.policy: {
            key: list(line.differences[key]) for key in _OF_POLICY if key in line.differences
        }
        for line in compared.lines
        if line.row.policy in mine and line.row.decoding == "sampled"
    }


def _is_of_run(run: RunFolder, folder: Any) -> bool:
    """Return whether an experiment shares what its run learned from raters."""
    own = run.path / "reward" / RATERS_FILE
    theirs = folder / "reward" / RATERS_FILE
    return own.is_file() and own.read_bytes() == theirs.read_bytes()


def _share(share: Mapping[str, Any] | None) -> str:
    if share is None or share["mean"] is None:
        return "not known"
    text = f"{share['mean']:.0%}"
    if share["low"] is not None:
        text += f" [{share['low']:.0%}, {share['high']:.0%}]"
    return text


def _plain(value: float | None) -> str:
    return "not known" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"

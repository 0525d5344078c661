"""The part of the stage `reward` that learns from raters, for either recipe.

`reward/raters.json` says which answers were learned from, which could not be used, and how far the
reward agrees with raters on utterances that it did not learn from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import file_digest, read_json, write_json
from esarm_env.core.run_layout import PREFERENCE_WEIGHTS, RATERS_FILE, REWARD_WEIGHTS
from reward.judging.agreement import agreement_of
from reward.plugins.heads import open_heads, open_whole_model
from reward.plugins.learned import LearnedReward
from reward.preference import (
    CorrectedModel,
    PreferredAlone,
    agreement_on,
    fit_preference,
    read_judged,
)

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval
    from esarm_env.task.animation_task import AnimationTask
    from reward.pairs.labelled import PairSource
    from reward.preference import Judged, PreferenceConfig, PreferenceModel
    from reward.scoring import RewardModel
    from train.run.run_folder import RunFolder

Share = dict[str, Any]


def judged_pairs(config: PreferenceConfig, task: AnimationTask) -> Judged | None:
    """Return what raters judged; None where no file is configured.

    Raises:
        InputError: If no answer can be used.
    """
    if not config.files:
        return None
    return read_judged(config.files, task, held_out=config.held_out)


def correct(
    run: RunFolder, judged: Judged | None, folder: Path, task: AnimationTask
) -> dict[str, Any]:
    """Learn what raters prefer beside the reward model in `folder`; write it, return its figures.

    Agreement is measured of a fit without the held-out utterances; the one that is kept has learned
    from all answers, since there are few.

    Args:
        run: Whose settings count.
        judged: Of `judged_pairs`.
        folder: Of the stage `reward`, with the model that is corrected.
        task: Of the run.

    Returns:
        Figures for the stage's summary; none without `judged`.
    """
    if judged is None:
        return {}
    base = open_heads(folder / REWARD_WEIGHTS, task)
    config = run.config.preferences

    def learn(source: PairSource) -> PreferenceModel:
        model = fit_preference(task, base=base, train=source, config=config, seed=run.config.seed)
        model.save(folder / PREFERENCE_WEIGHTS)
        return model

    model = learn(judged.train)
    figures = raters_of(config, judged, folder, task, before=base)
    if judged.held_out is not None:
        model = learn(judged.every)
    told = read_json(folder / RATERS_FILE, "what raters said")
    write_json(folder / RATERS_FILE, told | {"liked": [list(each) for each in model.liked]})
    return figures


def raters_of(
    config: PreferenceConfig,
    judged: Judged | None,
    folder: Path,
    task: AnimationTask,
    *,
    before: RewardModel | None,
) -> dict[str, Any]:
    """Measure agreement with raters, write `raters.json`, and return a short form of it.

    Args:
        config: Which files.
        judged: Of `judged_pairs`; None writes nothing.
        folder: Of the stage `reward`, with the model that learned from raters.
        task: Of the run.
        before: The model without them, where it is known.
    """
    if judged is None:
        return {}
    after = open_whole_model(folder / REWARD_WEIGHTS, task)
    shares: dict[str, Share | None] = {
        "before": None if before is None else _share(task, before, judged.held_out),
        "after": _share(task, after, judged.held_out),
    }
    if isinstance(after, CorrectedModel):
        shares["raters_alone"] = _share(task, PreferredAlone(after), judged.held_out)
        shares["after_on_learned"] = _share(task, after, judged.train)
    held_out = 0 if judged.held_out is None else len(judged.held_out.pairs)
    told = {
        "files": [{"path": str(file), "sha256": file_digest(Path(file).expanduser())}
                  for file in config.files],
        "share": config.share,
        "learned_pairs": len(judged.train.pairs),
        "held_out_pairs": held_out,
        "kept_pairs": len(judged.train.pairs) + held_out * isinstance(after, CorrectedModel),
        "cannot_tell": judged.undecided,
        "left_out": list(judged.problems),
        "agreement": agreement_of(judged.judgements).to_dict(),
        **shares,
    }  # fmt: skip
    write_json(folder / RATERS_FILE, told)
    for problem in judged.problems:
        print(f"left out: {problem}")
    short = {name: None if share is None else share["mean"] for name, share in shares.items()}
    kept = ("learned_pairs", "held_out_pairs", "cannot_tell")
    return {"raters": {name: told[name] for name in kept} | {"left_out": len(judged.problems)}
            | {f"held_out_{name}": short[name] for name in ("before", "after")}}  # fmt: skip


def _share(task: AnimationTask, model: RewardModel, source: PairSource | None) -> Share | None:
    """Return how often a model prefers what raters prefer, with its interval."""
    if source is None:
        return None
    scores = LearnedReward(task, model).score_motion(source.utterance, source.motions)
    found, n = agreement_on(scores, source)
    return share_dict(found) | {"decided": n}


def share_dict(found: Interval) -> Share:
    """Return an interval for JSON; what is not known is None."""
    known = [None if value != value else float(value) for value in found]
    return {"mean": known[0], "low": known[1], "high": known[2]}

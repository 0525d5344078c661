"""What a report was made of, and two bars that need no figure but a clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.task import AnimationTask
from reward.demonstrations import motions_of
from train.reward_report.judges import REWARD, Judges
from train.reward_report.study import ALL, Study
from train.run_folder import RunFolder

_TIMED, _ALONE = 512, 32  # animations


def facts_of(run: RunFolder, task: AnimationTask, study: Study, judges: Judges) -> dict[str, Any]:
    """Return facts of run, corpus and cast, for the report's head and its JSON."""
    corpus = run.summary("corpus")
    name = corpus["corpus"] if corpus["synthetic"] else Path(corpus["corpus"]).name
    return {
        "run": run.path.name,
        "seed": run.config.seed,
        "corpus": name,
        "synthetic": corpus["synthetic"],
        "splits": corpus.get("split_rule", ""),
        "utterances": len(study.utterances),
        "groups": {g: int(mask.sum()) for g, mask in study.groups.items() if g != ALL},
        "animations": len(study.cast),
        "samples": study.settings.samples,
        "levels": list(study.settings.levels),
        "strengths": list(study.settings.strengths),
        "trained_levels": list(study.trained_levels),
        "held_out_families": list(study.held_out),
        "recipe": run.config.recipe,
        "heads": study.has_heads(REWARD),
        "scorers": list(study.names),
        "confidence": study.settings.confidence,
        "resamples": study.settings.resamples,
        "reinforcement": _against_clone(run),
        **_pace(study, task, judges),
    }


def _pace(study: Study, task: AnimationTask, judges: Judges) -> dict[str, float]:
    """Return tokens per second, and how far scores in a batch are from scores one by one."""
    import torch

    score = judges.models[REWARD].score_motion
    some = study.cast.demonstrations[study.cast.samples.reshape(-1)[:_TIMED]]
    motions = motions_of(some, task)
    begin = time.perf_counter()
    together = score(some.utterance, motions)
    seconds = time.perf_counter() - begin
    alone = [
        score(some.utterance[row : row + 1], motions[row : row + 1])[0]
        for row in range(min(_ALONE, len(some)))
    ]
    return {
        "tokens_per_s": float(some.trajectories.lengths.sum() / seconds),
        "threads": torch.get_num_threads(),
        "batch_deviation": float(np.abs(together[: len(alone)] - np.array(alone)).max()),
    }


def _against_clone(run: RunFolder) -> dict[str, Any]:
    """Return what the stage `evaluate` found of reinforcement learning; nothing before it."""
    if not run.is_finished("evaluate"):
        return {}
    found: dict[str, Any] = run.summary("evaluate").get("against_clone", {})
    return found

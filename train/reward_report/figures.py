"""Collection of all figures of the reward report from a run folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import roll_out_with
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import POLICY_FILE, improved_policies
from esarm_env.face.loaders import OWN_HEAD, open_head
from esarm_env.task.opening import open_task
from reward.demonstrations import RollOut, motions_of
from reward.demonstrations.corruptions import FAMILIES
from reward.demonstrations.corruptions.registry import families_without
from reward.report import Resampler
from train.preferences.section import raters_facts
from train.reward_report.animations import ReportSettings, make_cast, n_steps
from train.reward_report.band_figures import (
    BAND,
    LEVELS,
    Correlations,
    Outlook,
    Selection,
    correlations,
    outlook,
    selection,
)
from train.reward_report.inputs import (
    ALL,
    REWARD,
    ReportInputs,
    ReportScorers,
    n_blocks,
    speaker_groups,
)
from train.reward_report.pair_figures import PairFigures, ProbeFigures, pair_figures, probe_figures
from train.reward_report.scorers import open_judges
from train.reward_report.trust_figures import Agreement, Trust, agreement, trust
from train.rows import rows_from_json, rows_to_json
from train.run.loop import progress_track
from train.stages.demonstrate import evenly

if TYPE_CHECKING:
    from esarm_env.core.progress import Progress
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder

_TIMED, _ALONE = 512, 32  # animations


def facts_of(
    run: RunFolder, task: AnimationTask, study: ReportInputs, judges: ReportScorers
) -> dict[str, Any]:
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
        "raters": raters_facts(run),
        **_pace(study, task, judges),
    }


def _pace(study: ReportInputs, task: AnimationTask, judges: ReportScorers) -> dict[str, float]:
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


def _against_clone(run: RunFolder) -> list[dict[str, Any]]:
    """Return what the stage `evaluate` found of reinforcement learning; nothing before it."""
    if not run.is_finished("evaluate"):
        return []
    return rows_to_json(rows_from_json(run.summary("evaluate").get("against_clone", {})))


@dataclass(frozen=True)
class Findings:
    """Every figure of a report.

    Attributes:
        facts: Of run, corpus and animations.
        pairs: Pair accuracy.
        band: Correlations inside the top band, by group of speakers.
        levels: Correlations over the noise levels, by group of speakers.
        selection: Best-of-n, by group of speakers.
        trust: Calibration.
        outlook: Extrapolation.
        probes: Hacking probes.
        agreement: Of an ensemble; None where there is none.
    """

    facts: dict[str, Any]
    pairs: PairFigures
    band: dict[str, Correlations]
    levels: dict[str, Correlations]
    selection: dict[str, Selection]
    trust: Trust
    outlook: Outlook
    probes: tuple[ProbeFigures, ...]
    agreement: Agreement | None


def collect_findings(
    run: RunFolder,
    settings: ReportSettings,
    *,
    ceiling: Path | None = None,
    paper: Path | None = None,
) -> Findings:
    """Roll out, score and measure.

    Args:
        run: With the stages up to `reward`.
        settings: How much of everything.
        ceiling: A model trained on true errors; by default the run's, if it has one.
        paper: A model of the paper's plain recipe; by default the run's, if it has one.

    Raises:
        InputError: If the run lacks a stage or a test utterance, or a score is not finite.
    """
    for stage in ("clone", "reward"):
        run.stage(stage)
    task = open_task(run.path)
    if run.config.evaluate.head != OWN_HEAD:
        task = dataclasses.replace(task, head=open_head(run.config.evaluate.head))
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    judges = open_judges(run, task, clone, ceiling=ceiling, paper=paper)
    policies = improved_policies(run.path)
    with progress_track("Reward report", 2 * len(policies)) as bar:
        collector = _Collector(run, task, roll_out_with(clone, task), settings, bar)
        main = collector.study("test", settings.utterances, judges, tuple(FAMILIES))
        alone = ReportScorers(task, {REWARD: judges.models[REWARD]}, {})
        fitted_on = collector.study("validation", settings.validation_utterances, alone, ())
        outlooked = outlook(main, alone, policies, seed=run.config.seed, after=collector.step)
    return Findings(
        facts=facts_of(run, task, main, alone),
        pairs=pair_figures(main),
        band={name: correlations(main, BAND, group=name) for name in main.groups},
        levels={name: correlations(main, LEVELS, group=name) for name in main.groups},
        selection={name: selection(main, group=name) for name in main.groups},
        trust=trust(main, fitted_on),
        outlook=outlooked,
        probes=probe_figures(main, judges),
        agreement=agreement(main, judges),
    )


@dataclass(frozen=True)
class _Collector:
    """Makes studies of a run's splits, and moves the progress bar."""

    run: RunFolder
    task: AnimationTask
    roll_out: RollOut
    settings: ReportSettings
    bar: Progress

    def step(self) -> None:
        """Move the bar on."""
        self.bar.advance(self.bar.task_ids[0])

    def study(
        self, split: str, wanted: int, judges: ReportScorers, families: Sequence[str]
    ) -> ReportInputs:
        """Roll out and score utterances of one split."""
        utterances = evenly(self.task.corpus.split(split), wanted)
        if not len(utterances):
            raise InputError(
                f"{self.run.path}: its corpus must have utterances in the split `{split}`, got none"
            )
        self._expect(n_steps(self.settings, families))
        cast = make_cast(
            self.roll_out,
            self.task,
            utterances,
            settings=self.settings,
            seed=self.run.config.seed,
            families=families,
            after=self.step,
        )
        self._expect(n_blocks(len(cast)))
        scored = judges.score(
            cast.demonstrations, with_baselines=bool(judges.baselines), after_block=self.step
        )
        records = self.task.corpus.records
        return ReportInputs(
            cast,
            scored,
            names=(*judges.models, *judges.baselines),
            utterances=utterances,
            groups=speaker_groups(self.task, utterances),
            emotions=np.array([records[int(i)].emotion for i in utterances]),
            held_out=held_out_families(self.run),
            trained_levels=tuple(self.run.config.demonstrate.epsilons),
            resampler=Resampler(
                len(utterances),
                resamples=self.settings.resamples,
                confidence=self.settings.confidence,
            ),
            settings=self.settings,
        )

    def _expect(self, steps: int) -> None:
        total = self.bar.tasks[0].total or 0
        self.bar.update(self.bar.task_ids[0], total=total + steps)


def held_out_families(run: RunFolder) -> tuple[str, ...]:
    """Return the corruption families that the run's reward model was not trained on.

    The paper's recipe knows noise levels alone. A model that has seen a family on one stream knows
    it.
    """
    trained = () if run.config.recipe == "paper" else run.config.consensus.families
    return families_without(*trained)

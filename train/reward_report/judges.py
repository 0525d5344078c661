"""Who is asked: the run's reward model, the ceiling, the plain recipe, and the baselines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agents.transformer import MotionTransformer
from esarm_env.errors import InputError
from esarm_env.task import AnimationTask
from esarm_env.types import FloatArray, RewardFunction, Trajectories
from reward.learned import LearnedReward, open_learned, open_model
from reward.report import MotionScorer
from reward.smoothness import JerkReward
from reward.synchrony import SynchronyReward
from train.reward_report.scoring import Judges
from train.rewards.likelihood import LikelihoodReward
from train.run_folder import RunFolder

REWARD, CEILING, PAPER = "reward", "ceiling", "paper's recipe"
LIKELIHOOD, JERK, SYNCHRONY = "log-likelihood", "minus jerk", "synchrony"
CEILING_FILE, PAPER_FILE = "ceiling.safetensors", "paper.safetensors"


def open_judges(
    run: RunFolder,
    task: AnimationTask,
    clone: MotionTransformer,
    *,
    ceiling: Path | None = None,
    paper: Path | None = None,
) -> Judges:
    """Open everyone who can be asked.

    Args:
        run: With the stages up to `reward`.
        task: Of the run.
        clone: Of the run.
        ceiling: A model that was trained on true errors; by default the run's, if it has one.
        paper: A model of the paper's plain recipe (a run or weights); by default the run's, if it
            has one.

    Raises:
        InputError: If a model cannot be opened.
    """
    models: dict[str, MotionScorer] = {REWARD: open_learned(task, run.path)}
    for name, given, file in ((CEILING, ceiling, CEILING_FILE), (PAPER, paper, PAPER_FILE)):
        path = given or run.stage("reward") / file
        if given is not None or path.is_file():
            models[name] = LearnedReward(task, open_model(path, task))
    baselines: dict[str, RewardFunction] = {LIKELIHOOD: LikelihoodReward(task, clone)}
    _add(baselines, JERK, lambda: Negative(JerkReward(task)))
    _add(baselines, SYNCHRONY, lambda: SynchronyReward(task))
    return Judges(task, models, baselines)


class Negative:
    """Minus another reward; implements `RewardFunction`."""

    def __init__(self, reward: RewardFunction) -> None:
        """Turn `reward` round."""
        self._reward = reward
        self.needs_ground_truth = reward.needs_ground_truth

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return minus its scores, shape (N,)."""
        return -self._reward.score(trajectories)


def _add(
    baselines: dict[str, RewardFunction], name: str, make: Callable[[], RewardFunction]
) -> None:
    """Add a baseline, unless the corpus did not capture what it measures."""
    try:
        baselines[name] = make()
    except InputError:
        return

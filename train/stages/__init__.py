"""The stages of a run, one module each, in the order of the data flow."""

from collections.abc import Callable
from typing import Any

from train.run.run_folder import RunFolder
from train.stages.clone import run_clone
from train.stages.corpus import run_corpus
from train.stages.demonstrate import run_demonstrate
from train.stages.evaluate import run_evaluate
from train.stages.improve import run_improve
from train.stages.prior import run_prior
from train.stages.reward import run_reward

STAGE_FUNCTIONS: dict[str, Callable[[RunFolder], dict[str, Any]]] = {
    "corpus": run_corpus,
    "prior": run_prior,
    "clone": run_clone,
    "demonstrate": run_demonstrate,
    "reward": run_reward,
    "improve": run_improve,
    "evaluate": run_evaluate,
}

__all__ = ["STAGE_FUNCTIONS"]

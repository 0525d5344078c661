"""The stages of a run, one module each, in the order of the data flow.

- `baselines`: motion of the baselines, and how far policies are from the strongest.
- `clone`: behaviour cloning of the recordings, by cross-entropy on their tokens.
- `corpus`: open the corpus and compute its audio features.
- `encoder`: train the speech encoder, which the policy hears through, and its regressor.
- `demonstrate`: epsilon-noised roll-outs of the clone, and an audit of their labels.
- `evaluate`: true errors and all metrics beside the learned score, on held-out
  utterances.
- `improve`: reinforcement learning from the clone, on the terminal reward.
- `measures`: figures of the evaluation beside the true errors: EVE without eyelids, energy,
  intensity order.
- `prior`: train the motion tokenizer, a VQ autoencoder.
- `reward`: train the reward by one of two recipes, on the demonstrations of all rounds.
- `signals`: off-target signals of animations, which alarms watch.
- `way_back`: policies between an improved one and its clone, and which of them to take.
"""

from collections.abc import Callable
from typing import Any

from train.run.run_folder import RunFolder
from train.stages.clone import run_clone
from train.stages.corpus import run_corpus
from train.stages.demonstrate import run_demonstrate
from train.stages.encoder import run_encoder
from train.stages.evaluate import run_evaluate
from train.stages.improve import run_improve
from train.stages.prior import run_prior
from train.stages.reward import run_reward

STAGE_FUNCTIONS: dict[str, Callable[[RunFolder], dict[str, Any]]] = {
    "corpus": run_corpus,
    "prior": run_prior,
    "encoder": run_encoder,
    "clone": run_clone,
    "demonstrate": run_demonstrate,
    "reward": run_reward,
    "improve": run_improve,
    "evaluate": run_evaluate,
}

__all__ = ["STAGE_FUNCTIONS"]

"""Settings by search: `python examples/tuning.py --trials 8` (needs `pip install optuna`).

Each trial trains the clone that ships and is judged by true errors on validation utterances. Test
utterances choose nothing: they are looked at once, with the best settings.
"""

from typing import Any

import tyro

from agents import SequencePPO
from esarm_env import Evaluation, SpeechAnimationEnv, evaluate, make_evaluation_env

try:
    import optuna
except ImportError:
    optuna = None


def main(
    trials: int = 6,
    *,
    timesteps: int = 6_000,  # of each trial
    reward: str = "learned",
    clone: str = "shipped",  # or a policy file, a run, an export
    seed: int = 0,
    **env_kwargs: Any,
) -> tuple[Evaluation, Evaluation]:
    """Search for settings of PPO; print how test utterances change under the best."""
    if optuna is None:
        raise SystemExit("this example needs optuna, which is not installed: pip install optuna")
    env_kwargs |= {"reward": reward}
    held_out, test = (make_evaluation_env(split=s, **env_kwargs) for s in ("validation", "test"))

    def train(settings: dict[str, Any], tokens: int = timesteps) -> SequencePPO:
        env = SpeechAnimationEnv(**env_kwargs)
        model = SequencePPO.from_clone(clone, env, n_episodes=32, seed=seed, **settings)
        return model.learn(tokens) if tokens else model

    def objective(trial: Any) -> float:
        settings = {
            "learning_rate": trial.suggest_float("learning_rate", 3e-5, 1e-3, log=True),
            "kl_coef": trial.suggest_float("kl_coef", 0.01, 1.0, log=True),
            "samples_per_utterance": trial.suggest_categorical("samples_per_utterance", [2, 4, 8]),
        }
        means = evaluate(train(settings).predict, held_out).means()
        return means["lve"] + means["eve"]  # mm: not the reward, which can be hacked

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    print(f"best of {trials}: {study.best_params}, LVE + EVE {study.best_value:.3f} mm")
    before = evaluate(train({}, tokens=0).predict, test)
    print(before.compare(after := evaluate(train(study.best_params).predict, test)))
    return before, after


if __name__ == "__main__":
    tyro.cli(main)

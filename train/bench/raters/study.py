"""Study of the loop with simulated raters: pool, answers, rewards, policies, what they came to.

| under the folder | holds |
|---|---|
| `settings.json` | what all of it has in common |
| `pool/`, `preferences-N.jsonl` in it | what was judged, and the first N answers |
| `held-out/` | animations of validation utterances, for agreement with the taste itself |
| `study.log`, `simulated.md`, `.csv`, `.json`, `.png` | progress, and the results |

The rewards and policies are experiments of the run, `simulated-TASTE-N`, which `esarm compare`
knows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from agents.rollout.named_decoding import deterministic_decoding
from agents.weights import load_policy
from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.intervals import bootstrap_mean, paired_change
from esarm_env.core.run_layout import POLICY_FILE, RATERS_FILE
from esarm_env.core.training.ranges import (
    ABOVE_0,
    AT_LEAST_2,
    BELOW_1,
    MAY_BE_0,
    check_ranges,
    ranges,
)
from esarm_env.task.episode_metrics import EVE, LVE
from esarm_env.task.opening import open_task
from reward.judging.agreement import share_by_group
from reward.judging.pool import POOL_FILE, Pool, open_pool
from reward.plugins.heads import open_whole_model
from reward.plugins.learned import LearnedReward
from reward.preference import CorrectedModel, PreferredAlone
from train.bench.raters.at_page import RatersAtPage
from train.bench.raters.page import render, write_study
from train.bench.raters.simulated import TASTES, Taste
from train.experiments.folders import begin_experiment, preference_settings
from train.experiments.measuring import measure_experiment
from train.preferences.learning import share_dict
from train.preferences.pool import make_pool
from train.run.kept_settings import keep_settings
from train.run.lock import locked
from train.run.run_folder import RunFolder
from train.stages.improve import run_improve

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.scoring import RewardModel

_CONFIDENCE = 0.95
ADVICE = "give the same options, another --out, or delete the folder"


@ranges(noise=BELOW_1, samples=AT_LEAST_2, kl_coef=ABOVE_0, seed=MAY_BE_0)
@dataclass(frozen=True)
class StudyConfig:
    """How large the study is.

    Attributes:
        taste: What the raters like, one of `TASTES`.
        noise: Share of answers that are the wrong way round.
        raters: Simulated raters, who take turns.
        utterances: Training utterances in the pool.
        samples: Samples of the clone of each.
        held_out: Validation utterances on which agreement with the taste is measured.
        algorithm: That climbs each reward.
        iterations: Of it.
        kl_coef: Weight of the divergence from the clone.
        seed: Of pool and answers; trainings have the run's.
    """

    taste: str = "raised-brows"
    noise: float = 0.2
    raters: int = 4
    utterances: int = 200
    samples: int = 6
    held_out: int = 100
    algorithm: str = "ppo"
    iterations: int = 12
    kl_coef: float = 0.3
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: If a setting is out of its range, or there is no such taste.
        """
        check_ranges(self)
        if self.taste not in TASTES:
            raise InputError(f"`taste` must be one of {', '.join(TASTES)}, got {self.taste!r}")


def run_study(
    run: RunFolder, config: StudyConfig, *, answers: tuple[int, ...], folder: Path
) -> dict[str, Any]:
    """Let simulated raters judge, and train reward and policy on their first N answers each.

    Args:
        run: Finished up to `reward`.
        config: What the study is like.
        answers: The numbers N; 0 is always among them.
        folder: For everything but the experiments.

    Returns:
        All figures; they are in `simulated.json` as well.

    Raises:
        InputError: If the folder holds another study, or a stage is missing.
    """
    config.check()
    if any(n < 0 for n in answers):
        raise InputError(f"`answers` must be at least 0, got {min(answers)}")
    run.stage("reward")
    keep_settings(folder, {"run": str(run.path), **asdict(config)}, what="studies", remedy=ADVICE)
    with locked(folder):
        study = _Study(run, config, folder)
        found = {n: study.of_answers(n) for n in sorted({0, *answers})}
        figures = _figures(config, found)
        write_study(figures, folder)
        for n in found:  # for `esarm compare`, which the study's own figures need not wait for
            study.measure(n)
    study.say(f"report: {folder / 'simulated.md'}")
    return figures


def bench_raters(
    run: Path, settings: dict[str, Any], answers: tuple[int, ...], out: Path | None
) -> dict[str, Any]:
    """Run the study as the command line asks for it, print its page, and return its figures."""
    folder = out or run / "simulated"
    config = StudyConfig(**settings)
    figures = run_study(RunFolder.open(run), config, answers=answers, folder=folder)
    print(render(figures))
    return figures


class _Study:
    """The study at work; what is done is not done again."""

    def __init__(self, run: RunFolder, config: StudyConfig, folder: Path) -> None:
        self._run, self._config, self._folder = run, config, folder
        self._taste: Taste = TASTES[config.taste]
        self._task: AnimationTask = open_task(run.path)
        self.say(f"pool of {config.utterances} utterances, {config.samples} samples each")
        self._pool = self._pool_of("pool", "train", config.utterances, config.samples)
        self._held_out = self._pool_of("held-out", "validation", config.held_out, 4)

    def say(self, text: str) -> None:
        """Print a line and add it to the log."""
        line = f"{datetime.now().astimezone().isoformat(timespec='seconds')} simulated: {text}"
        print(line, flush=True)
        with (self._folder / "study.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def of_answers(self, n: int) -> dict[str, Any]:
        """Return what the reward and the policy of `n` answers came to, per utterance."""
        kept = self._folder / f"answers-{n}.json"
        if kept.is_file():
            return read_json(kept, "figures of a study", remedy=f"delete {kept}")
        config = self._config
        name = f"simulated-{config.taste}-{n}"
        settings = (
            f"improve.algorithms=[{config.algorithm}]",
            f"improve.iterations={config.iterations}",
            f"improve.kl_coef={config.kl_coef}",
        )
        self.say(f"{n} answers: reward, then policy (experiment {name})")
        files = () if n == 0 else (self._answers(n),)
        made = begin_experiment(self._run, name, (*settings, *preference_settings(files)))
        with locked(made.path):
            run_improve(made)
        model = open_whole_model(made.path, self._task)
        policy = load_policy(made.stage("improve") / config.algorithm / POLICY_FILE)
        found: dict[str, Any] = {"answers": n, **self._with_taste(model), **self._measured(policy)}
        if n:
            found["raters"] = read_json(made.stage("reward") / RATERS_FILE, "what raters said")
        write_text(kept, json.dumps(found) + "\n")
        agreement = found["agreement"]["mean"]
        self.say(f"{n} answers: agreement with the taste {agreement:.1%} on held-out utterances")
        return found

    def measure(self, n: int) -> None:
        """Measure the experiment of `n` answers as any other."""
        name = f"simulated-{self._config.taste}-{n}"
        made = begin_experiment(self._run, name, ())
        with locked(made.path):
            measure_experiment(made, self._run)

    def _pool_of(self, name: str, split: str, utterances: int, samples: int) -> Pool:
        place = self._folder / name
        if (place / POOL_FILE).is_file():
            return open_pool(place)
        return make_pool(
            self._run.path,
            place,
            samples=samples,
            utterances=utterances,
            splits=(split,),
            seed=self._config.seed,
        )

    def _answers(self, n: int) -> Path:
        """Return the file of the first `n` answers."""
        raters = RatersAtPage(
            self._run.path,
            self._pool,
            self._taste,
            n_raters=self._config.raters,
            noise=self._config.noise,
            seed=self._config.seed,
        )
        raters.answer(n)
        lines = [each.as_line() for each in raters.judging.log.judgements[:n]]
        file = self._pool.folder / f"preferences-{n}.jsonl"
        write_text(file, "\n".join(lines) + "\n")
        return file

    def _with_taste(self, model: RewardModel) -> dict[str, Any]:
        """Return how often a reward prefers what the taste prefers, without noise."""
        liked = np.array([self._taste(self._motion(row)) for row in self._rows])
        found = {"agreement": self._agreement(model, liked)}
        if isinstance(model, CorrectedModel):
            found["agreement_alone"] = self._agreement(PreferredAlone(model), liked)
        return found

    @property
    def _rows(self) -> range:
        return range(len(self._held_out.animations))

    def _motion(self, row: int) -> FloatArray:
        return self._held_out.motion(self._held_out.animations[row])

    def _agreement(self, model: RewardModel, liked: FloatArray) -> dict[str, Any]:
        names = [each.utterance for each in self._held_out.animations]
        utterances = np.array([self._task.index_of[name] for name in names])
        motions = [self._motion(row) for row in self._rows]
        scores = LearnedReward(self._task, model).score_motion(utterances, motions)
        groups = []
        for rows in self._held_out.rows_of.values():
            pairs = [(a, b) for a, b in combinations(rows.tolist(), 2) if liked[a] != liked[b]]
            groups.append(
                [float((scores[a] > scores[b]) == (liked[a] > liked[b])) for a, b in pairs]
            )
        return share_dict(share_by_group([group for group in groups if group]))

    def _measured(self, policy: MotionTransformer) -> dict[str, Any]:
        """Return taste and errors of a policy per test utterance, sampled and without chance."""
        test = self._task.corpus.split("test")
        found = {}
        ways = {"sampled": Decoding(temperature=1.0), "usual": deterministic_decoding(policy)}
        for name, decoding in ways.items():
            written = animate_utterances(
                policy, self._task, test, decoding=decoding, seed=self._run.config.seed
            )
            errors = self._task.errors(written)
            ends = self._task.n_frames[test]
            motions = self._task.decode_chunks(written)
            liked = [self._taste(m[:end]) for m, end in zip(motions, ends, strict=True)]
            found[name] = {
                "taste": [float(value) for value in liked],
                LVE: errors[LVE].astype(float).tolist(),
                EVE: errors[EVE].astype(float).tolist(),
            }
        return {"measured": found}


def _figures(config: StudyConfig, found: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return means with intervals, and changes from the policy of no answers."""
    rows = []
    for n, each in found.items():
        row: dict[str, Any] = {"answers": n, "agreement": each["agreement"]}
        row["agreement_alone"] = each.get("agreement_alone")
        raters = each.get("raters", {})
        row["raters"] = {
            key: raters.get(key) for key in ("kept_pairs", "before", "after", "agreement")
        }
        for way, measured in each["measured"].items():
            row[way] = {}
            for name, values in measured.items():
                mine, first = np.array(values), np.array(found[0]["measured"][way][name])
                row[way][name] = share_dict(
                    bootstrap_mean(mine, resamples=2000, confidence=_CONFIDENCE)
                )
                change = paired_change(first, mine, confidence=_CONFIDENCE)
                row[way][f"{name}_change"] = share_dict(change)
                row[way][f"{name}_share"] = float(change.mean / abs(first.mean()))
        rows.append(row)
    return {"simulated": True, "settings": asdict(config), "rows": rows}

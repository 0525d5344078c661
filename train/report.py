"""`report.md`: tables with their metric variants and intervals, curves, wall times."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    IMPROVEMENT_PICTURE,
    METRICS_FILE,
    REPORT_FILE,
    ROUNDS_FOLDER,
    STAGES,
    SUMMARY_FILE,
    TRAINING_PICTURE,
)
from train.pictures import draw_or_explain
from train.rounds.folders import open_rounds, round_figures
from train.rows import DECODINGS
from train.run_report.cells import header, line
from train.run_report.comparisons import (
    against_clone,
    against_expected,
    against_regressor,
    off_target,
)
from train.run_report.faces import faces_section
from train.run_report.metrics import emotion_section, metrics_sections
from train.run_report.results import main_section, noise_section, setting_section, speaker_section
from train.run_report.rewards import reward_section
from train.run_report.samples import energy_section, intensity_section
from train.run_report.verdict import climbs, reward_name, verdict_section

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

# By recipe of the reward: what its training is watched by, and where its zero is.
_WATCHED = {
    "consensus": ("validation_agreement_mouth", "validation_agreement_upper"),
    "paper": ("validation_pair_accuracy",),
}


@contextlib.contextmanager
def _told(run: RunFolder, *files: str) -> Iterator[None]:
    """Turn what a damaged file of a stage does to its reader into one line that names it."""
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise InputError(
            f"{run.path}: {' and '.join(files)} must be as the stage wrote it, got {error!r:.120}; "
            "delete the stage's folder and run it again"
        ) from error


def write_report(run: RunFolder) -> Path:
    """Write `report.md` and its pictures into the run folder; return its path.

    Raises:
        InputError: If a stage is missing, or what it wrote is damaged.
    """
    read = [f"{stage}/{SUMMARY_FILE}" for stage in ("evaluate", "improve", "corpus")]
    with _told(run, *read):
        results = run.summary("evaluate")
        sections = [f"# ESARM run `{run.path.name}`", verdict_section(run, results)]
        sections += [faces_section(run), setting_section(run, results), main_section(results)]
        sections += [*against_regressor(results), against_clone(results)]
        sections += [*against_expected(results), *off_target(results)]
    with _told(run, f"{ROUNDS_FOLDER}/*/*/{SUMMARY_FILE}"):
        sections += _rounds_section(run)
    with _told(run, f"evaluate/{SUMMARY_FILE}"):
        sections += [
            noise_section(run, results),
            reward_section(run, results),
            speaker_section(results),
            emotion_section(run, results),
            *intensity_section(results),
            *energy_section(run, results),
            metrics_sections(results),
        ]
    with _told(run, f"*/{METRICS_FILE}"):
        # Apart from the strip of faces, which needs no matplotlib.
        sections.append(draw_or_explain(_curves_section(run), lambda: _draw(run)))
    with _told(run, f"*/{SUMMARY_FILE}"):
        sections.append(_times(run))
    path = run.path / REPORT_FILE
    text = "\n\n".join(sections) + "\n"
    with new_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def _draw(run: RunFolder) -> None:
    """Write the pictures of the page."""
    from train.plots import plot_improvement, plot_training

    curves = {
        name: _read_rows(run.stage("improve") / name / METRICS_FILE)
        for name in run.config.improve.algorithms
    }
    reward = reward_name(run.config.improve.reward).strip("`")
    rewards = {
        name: f"reward {reward} ({'climbed' if climbs(run, name) else 'watched'})"
        for name in curves
    }
    plot_improvement(curves, run.path / IMPROVEMENT_PICTURE, rewards=rewards)
    plot_training(
        {
            "motion prior": (_read_rows(run.stage("prior") / METRICS_FILE), ("loss",)),
            **_encoder_curves(run),
            "behaviour cloning": (
                _read_rows(run.stage("clone") / METRICS_FILE),
                ("train_loss", "validation_loss"),
            ),
            "reward model": (
                _read_rows(run.stage("reward") / METRICS_FILE),
                ("loss", *_WATCHED[run.config.recipe]),
            ),
        },
        run.path / TRAINING_PICTURE,
    )


def _encoder_curves(run: RunFolder) -> dict[str, tuple[list[dict[str, float]], tuple[str, ...]]]:
    """Return the panel of the speech encoder; none where the policy hears the features."""
    if not run.is_finished("encoder") or run.summary("encoder")["epochs"] == 0:
        return {}
    rows = _read_rows(run.stage("encoder") / METRICS_FILE)
    return {"speech encoder": (rows, ("train_loss", "validation_loss"))}


def _read_rows(path: Path) -> list[dict[str, float]]:
    """Return the rows of a `metrics.csv`; empty cells are left out."""
    with path.open(newline="") as file:
        return [
            {key: float(value) for key, value in row.items() if value != ""}
            for row in csv.DictReader(file)
        ]


def _rounds_section(run: RunFolder) -> list[str]:
    """Return proxy and gold per round of improvement; nothing where there was one alone."""
    rounds = open_rounds(run)
    if len(rounds) < 2:
        return []
    lines = [
        "## Rounds of improvement",
        "",
        "Policy of each round minus the first clone, decoded the same way and paired per "
        "utterance. The score (proxy) is by each round's own reward model, so that scores of two "
        "rounds have two scales; the errors (gold) have one. Suspicious samples of the policy are "
        "those that its reward prefers to the recording, or that an ensemble disagrees about most; "
        "no true error is used to find them.",
        "",
        header("round") + "---|",
    ]
    lines[-1] = lines[-1].replace(" |\n", " | suspicious samples |\n")
    for number, (current, figures) in enumerate(zip(rounds, round_figures(rounds), strict=True), 1):
        found = current.summary("demonstrate").get("suspicious")
        share = "" if found is None else f"{100 * found['hacked'] / found['samples']:.0f} %"
        for decoding in (each for each in DECODINGS if each in figures):
            lines.append(line(f"{number}, {decoding}", figures[decoding]) + f" {share} |")
    return ["\n".join(lines)]


def _curves_section(run: RunFolder) -> str:
    """Return the pictures of what was trained, with the reward under its name."""
    return (
        "## Curves\n\n"
        f"Left the reward {reward_name(run.config.improve.reward)}, the proxy, as training goes "
        "on; right the true errors of the same validation utterances, the gold. Where the left "
        "one rises while the right ones do not fall, the reward is climbed for nothing.\n\n"
        f"![Reward beside true errors]({IMPROVEMENT_PICTURE})\n\n"
        "Losses of the other stages by epoch.\n\n"
        f"![Training of the stages]({TRAINING_PICTURE})"
    )


def _times(run: RunFolder) -> str:
    """Return how long each stage worked."""
    # Runs that were cloned before there were encoders have no such stage.
    stages = [stage for stage in STAGES if stage != "encoder" or run.is_finished(stage)]
    summaries = {stage: run.summary(stage) for stage in stages}
    times = {stage: summary["wall_s"] for stage, summary in summaries.items()}
    # Runs of before it was noted say nothing of it.
    threads = sorted({s["threads"] for s in summaries.values() if "threads" in s})
    noted = f" CPU threads of torch: {', '.join(map(str, threads))}." if threads else ""
    all_s = sum(times.values())
    lines = [
        "## Wall time",
        "",
        "Seconds that each stage worked, on this machine as busy as it was; interruptions do not "
        "count. Corpus and features that were in the cache cost nothing; installing, and writing "
        f"this report, come on top.{noted}",
        "",
        "| stage | s |",
        "|---|---|",
        *(f"| {stage} | {seconds:.0f} |" for stage, seconds in times.items()),
        f"| **all** | {all_s:.0f} ({all_s / 60:.1f} min) |",
    ]
    return "\n".join(lines)

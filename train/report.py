"""`report.md`: tables with their metric variants and intervals, curves, wall times."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from esarm_env.metrics import table, variant_label
from esarm_env.task.episode_metrics import EVE, LVE
from train.pictures import draw_or_explain
from train.rounds.folders import open_rounds, round_figures
from train.rows import DECODINGS, EXPECTED, TOKENIZER, Row, greedy, noisy, rows_from_json
from train.run_report.cells import cell, header, line
from train.run_report.comparisons import (
    against_clone,
    against_expected,
    against_regressor,
    off_target,
)
from train.run_report.samples import energy_section, intensity_section
from train.stages.evaluate import measured_quantities

if TYPE_CHECKING:
    from train.run.run_folder import RunFolder

# By recipe of the reward: what its training is watched by, and where its zero is.
_WATCHED = {
    "consensus": ("validation_agreement_mouth", "validation_agreement_upper"),
    "paper": ("validation_pair_accuracy",),
}
_REFERENCES = {
    "consensus": "the clone's own samples",
    "paper": "the least noisy demonstrations",
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
    with _told(run, f"evaluate/{SUMMARY_FILE}", f"corpus/{SUMMARY_FILE}"):
        results = run.summary("evaluate")
        sections = [_head(run, results), _main_table(results)]
        sections += [*against_regressor(results), against_clone(results)]
        sections += [*against_expected(results), *off_target(results)]
    with _told(run, f"{ROUNDS_FOLDER}/*/*/{SUMMARY_FILE}"):
        sections += _rounds_section(run)
    with _told(run, f"evaluate/{SUMMARY_FILE}"):
        sections += [
            _noise_table(run, results),
            _reward_section(results),
            _speaker_section(results),
            _measures_section(results),
            *energy_section(run, results),
            *intensity_section(results),
            _curves_section(),
        ]
    with _told(run, f"*/{SUMMARY_FILE}"):
        sections.append(_times(run))
    path = run.path / REPORT_FILE
    with _told(run, f"*/{METRICS_FILE}"):
        text = draw_or_explain("\n\n".join(sections) + "\n", lambda: _draw(run))
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
    plot_improvement(curves, run.path / IMPROVEMENT_PICTURE)
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


def _head(run: RunFolder, results: dict[str, Any]) -> str:
    corpus = run.summary("corpus")
    kind = "**synthetic** corpus" if corpus["synthetic"] else "recorded corpus"
    label = corpus["corpus"] if corpus["synthetic"] else Path(corpus["corpus"]).name
    share = round(100 * run.config.evaluate.confidence)
    head = Path(run.config.evaluate.head).name
    splits = f" (splits: {corpus['split_rule']})" if "split_rule" in corpus else ""
    return (
        f"# ESARM run `{run.path.name}`\n\n"
        f"Trained and tested on the {kind} `{label}`: {corpus['utterances']} utterances, "
        f"{corpus['speech_s']:.0f} s, {corpus['n_speakers']} speakers; figures on "
        f"{results['utterances']} held-out test utterances{splits}, on the head `{head}`, "
        f"one seed ({run.config.seed}). "
        f"Brackets are {share} % bootstrap intervals over utterances; they do not cover other "
        "training seeds.\n\n"
        f"- {variant_label('lips')}\n- {variant_label('upper')}\n"
        f"- {variant_label('upper_without_lids')}: blinks, which nobody can foresee, dominate EVE\n"
        f"- learned score (recipe `{run.config.recipe}`): 0 is the mean of "
        f"{_REFERENCES[run.config.recipe]} in training, 1 their spread. It is a proxy: read it "
        "only beside the true errors."
    )


def _main_table(results: dict[str, Any]) -> str:
    lines = ["## Results", "", header("animation")]
    rows = rows_from_json(results["rows"])
    lines += [line(row.label, figures) for row, figures in rows.items()]
    if any(row.decoding == EXPECTED for row in rows):
        lines += [
            "",
            "Greedy decoding writes the likeliest token; by expected distance the one that looks "
            "least far, in mm, from what the policy would draw.",
        ]
    return "\n".join(lines)


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


def _noise_table(run: RunFolder, results: dict[str, Any]) -> str:
    lines = ["## Impact of the noise level (form of the paper's Table II)", ""]
    lines += ["| ε | LVE (mm) | EVE (mm) |", "|---|---|---|"]
    rows = rows_from_json(results["rows"])
    for level in run.config.demonstrate.epsilons:
        figures = rows[noisy("clone", level)]
        lines.append(f"| {level:.2f} | {cell(figures[LVE])} | {cell(figures[EVE])} |")
    return "\n".join(lines)


def _reward_section(results: dict[str, Any]) -> str:
    lines = [
        "## Reward model",
        "",
        "Share of pairs of one held-out utterance that the learned score ranks by less noise. "
        "High figures here do not show that it knows better from good; the differences above do.",
        "",
        "| least difference in ε | pair accuracy |",
        "|---|---|",
    ]
    for gap, figures in results["pair_accuracy"].items():
        share, low, high = (100 * value for value in figures)
        lines.append(f"| {gap} | {share:.1f} % [{low:.1f}, {high:.1f}] |")
    return "\n".join([*lines, "", _ground_truth_verdict(rows_from_json(results["rows"]))])


def _ground_truth_verdict(rows: dict[Row, Any]) -> str:
    """Say whether the score knows recordings to be better than the policy that it was made from."""
    truth = rows[Row(TOKENIZER)]["score"][0]
    clone = rows[greedy("clone")]["score"][0]
    if truth > clone:
        return (
            f"Recordings score {truth:.2f}, above the greedy clone's {clone:.2f}, as they should."
        )
    best = max(rows, key=lambda row: rows[row]["score"][0])
    return (
        f"Recordings score {truth:.2f}, **below** the greedy clone's {clone:.2f}, so a high score "
        "does not mean being like a human face. The highest one here is "
        f"{rows[best]['score'][0]:.2f}: {best.label}."
    )


def _speaker_section(results: dict[str, Any]) -> str:
    lines = ["## Greedy clone by speaker", "", header("test speakers")]
    for name, figures in results["speakers"].items():
        lines.append(line(f"{name} ({figures['utterances']} utterances)", figures))
    return "\n".join(lines)


def _measures_section(results: dict[str, Any]) -> str:
    rows = {
        row.short_label: {
            key: None if None in triple else tuple(triple) for key, triple in figures.items()
        }
        for row, figures in rows_from_json(results["measures"]).items()
    }
    return "\n".join(
        [
            "## All metrics",
            "",
            "Each over the utterances for which it is defined.",
            "",
            "```text",
            table(rows, measured_quantities(), style="plain"),
            "```",
        ]
    )


def _curves_section() -> str:
    return (
        f"## Curves\n\n![Learned score beside true errors]({IMPROVEMENT_PICTURE})\n\n"
        f"![Training of the stages]({TRAINING_PICTURE})"
    )


def _times(run: RunFolder) -> str:
    lines = ["## Wall time", "", "| stage | s |", "|---|---|"]
    # Runs that were cloned before there were encoders have no such stage.
    stages = [stage for stage in STAGES if stage != "encoder" or run.is_finished(stage)]
    summaries = {stage: run.summary(stage) for stage in stages}
    times = {stage: summary["wall_s"] for stage, summary in summaries.items()}
    # Runs of before it was noted say nothing of it.
    threads = sorted({s["threads"] for s in summaries.values() if "threads" in s})
    noted = f"\n\nCPU threads of torch: {', '.join(map(str, threads))}." if threads else ""
    lines += [f"| {stage} | {seconds:.0f} |" for stage, seconds in times.items()]
    return "\n".join([*lines, f"| **all** | {sum(times.values()):.0f} |"]) + noted

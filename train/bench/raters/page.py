"""Page, table and picture of the study; each says that the raters are simulated."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from esarm_env.core.cache import write_text
from esarm_env.task.episode_metrics import LVE
from train.pictures import draw_or_explain
from train.run.run_folder import without_nan

NAME = "simulated"
_COLUMNS = (
    "answers", "learned_pairs", "agreement", "agreement_low", "agreement_high", "agreement_alone",
    "taste", "taste_change", "taste_change_low", "taste_change_high", "lve_mm", "lve_share",
    "sampled_taste", "sampled_taste_change", "sampled_lve_mm", "sampled_lve_share",
)  # fmt: skip


def write_study(figures: dict[str, Any], folder: Path) -> None:
    """Write `simulated.json`, `.csv`, `.md` and `.png`."""
    text = json.dumps(without_nan(figures), indent=1, allow_nan=False)
    write_text(folder / f"{NAME}.json", text + "\n")
    write_text(folder / f"{NAME}.csv", table(figures))
    page = draw_or_explain(render(figures), lambda: _draw(figures, folder))
    write_text(folder / f"{NAME}.md", page + "\n")


def table(figures: dict[str, Any]) -> str:
    """Return the rows as CSV; of policies, usual animations and sampled ones."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in figures["rows"]:
        writer.writerow({key: _cell(value) for key, value in flat(row).items()})
    return buffer.getvalue()


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a row by the names of the table's columns."""
    agreement, usual, sampled = row["agreement"], row["usual"], row["sampled"]
    alone, change = row["agreement_alone"] or {}, usual["taste_change"]
    return {
        "answers": row["answers"],
        "learned_pairs": row["raters"]["kept_pairs"] or 0,
        "agreement": agreement["mean"],
        "agreement_low": agreement["low"],
        "agreement_high": agreement["high"],
        "agreement_alone": alone.get("mean"),
        "taste": usual["taste"]["mean"],
        "taste_change": change["mean"],
        "taste_change_low": change["low"],
        "taste_change_high": change["high"],
        "lve_mm": usual[LVE]["mean"],
        "lve_share": usual[f"{LVE}_share"],
        "sampled_taste": sampled["taste"]["mean"],
        "sampled_taste_change": sampled["taste_change"]["mean"],
        "sampled_lve_mm": sampled[LVE]["mean"],
        "sampled_lve_share": sampled[f"{LVE}_share"],
    }


def render(figures: dict[str, Any]) -> str:
    """Return the page."""
    settings = figures["settings"]
    noise = settings["noise"]
    lines = [
        "# Does the loop of judging work? Simulated raters",
        "",
        f"No person judged here. {settings['raters']} simulated raters like `{settings['taste']}`, "
        f"and give the other answer in {noise:.0%} of all cases. Their answers went through the "
        "page on which people judge. A reward was corrected by the first N of them, and "
        f"`{settings['algorithm']}` improved the clone on it ({settings['iterations']} iterations, "
        f"KL weight {settings['kl_coef']:g}).",
        "",
        "- agreement: how often the reward prefers what the taste prefers, without noise, on "
        "validation utterances; in brackets 95 % intervals over utterances. A reward that knew "
        f"the taste would reach 100 % here, and {1 - noise:.0%} against the noisy answers.",
        "- alone: the same of the part that was learned from raters.",
        "- taste: its mean over animations of the test utterances, without chance as `esarm "
        "animate` makes them; change, LVE: against the policy improved on no answers.",
        "- sampled: the same of sampled animations.",
        "",
        "| answers | pairs learned | agreement | alone | taste | change | LVE (mm) | LVE change | "
        "sampled: taste | change | LVE change |",
        "|---:|---:|---|---:|---:|---|---:|---:|---:|---:|---:|",
        *(_line(row) for row in figures["rows"]),
        "",
        "![Simulated raters: agreement and taste by number of answers](simulated.png)",
    ]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    figures = flat(row)
    alone = figures["agreement_alone"]
    cells = [
        str(figures["answers"]),
        str(figures["learned_pairs"]),
        f"{figures['agreement']:.0%} [{_percent(figures['agreement_low'])}, "
        f"{_percent(figures['agreement_high'])}]",
        "" if alone is None else f"{alone:.0%}",
        f"{figures['taste']:.3f}",
        f"{figures['taste_change']:+.3f} [{figures['taste_change_low']:+.3f}, "
        f"{figures['taste_change_high']:+.3f}]",
        f"{figures['lve_mm']:.2f}",
        f"{figures['lve_share']:+.1%}",
        f"{figures['sampled_taste']:.3f}",
        f"{figures['sampled_taste_change']:+.3f}",
        f"{figures['sampled_lve_share']:+.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.0%}"


def _cell(value: Any) -> Any:
    return f"{value:.4f}" if isinstance(value, float) else value


def _draw(figures: dict[str, Any], folder: Path) -> None:
    from train.bench.raters.picture import draw_study

    draw_study([flat(row) for row in figures["rows"]], figures["settings"], folder / f"{NAME}.png")

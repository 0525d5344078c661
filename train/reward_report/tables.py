"""The report's sections, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.metrics.variant import Quantity
from esarm_env.task.episode_metrics import EVE, LVE, STREAM_OF_ERROR
from reward.report import UNKNOWN, PairCell, Triple, shown
from train.reward_report.band_figures import ORACLE, OWN, ByScorer, Correlations, Selection
from train.reward_report.inputs import ALL, CEILING, REWARD
from train.reward_report.pair_figures import MEAN, ProbeFigures, marked

if TYPE_CHECKING:
    from train.reward_report.figures import Findings

_COLUMNS = 3  # of figures with intervals, beside each other on a page
DECIMALS = {"%": 1, "mm": 3, "1": 3}
Rows = dict[str, dict[str, Triple]]
TOKENISED = "tokenised"
# The mean in mm is what the reward `accuracy` goes by.
NEARER = {LVE: "LVE", EVE: "EVE", MEAN: "mean of LVE and EVE"}
CONFIRM = {LVE: "LVE agrees", EVE: "EVE agrees"}


def pairs_section(found: Findings) -> str:
    """Return pair accuracy by distance, ground truth, family, emotion and speaker."""
    pairs, names = found.pairs, found.facts["scorers"]
    held_out = tuple(found.facts["held_out_families"])
    parts = [
        "## 1. Pairs: is the better one ranked higher?",
        "The share of pairs that a scorer ranks as their automatic label says, a tie counting one "
        "half; beside it the share of these labels that the true errors confirm. A label that LVE "
        "and EVE do not confirm is not worth learning. Noise levels that were trained on: "
        f"{', '.join(f'{level:g}' for level in found.facts['trained_levels'])}.",
        "![Pair accuracy](pairs.png)",
        _pair_table(pairs.noise, names, first="noise levels (pairs)"),
        "### Ground truth",
        "One pair an utterance, so that shares are shares of utterances. The recording has no "
        "error by definition, so that no error can confirm its labels; through the tokenizer it "
        "is the best that a policy on tokens can reach.",
        _pair_table(pairs.truth, names, first="pairs (utterances)"),
        "### Corruption families",
        "Damage to the clone's first sample (to its greedy roll-out, for families that ask the "
        "clone again and for mixtures), pairs of all strengths and none. Held out are families "
        "that training never saw, on either part of the face.",
        _pair_table(marked(pairs, held_out), _models(names), first="family (pairs)"),
        _steps_table(found),
        "### By emotion, at Δε ≥ 0.23",
        _pair_table(pairs.emotions, names, first="emotion (pairs)"),
    ]
    if pairs.speakers:
        parts += ["### By speaker", _pair_table(pairs.speakers, names, first="pairs")]
    return "\n\n".join(parts)


def correlation_section(found: Findings) -> str:
    """Return rank correlations inside the top band and over the noise levels."""
    band, levels = found.band, found.levels
    parts = [
        "## 2. Order within an utterance",
        "Kendall's tau-b and Spearman's rho of the scores with minus the true error, worked out "
        "for each utterance, then averaged. The top band, where reinforcement learning moves, are "
        f"the {found.facts['samples']} samples of the clone at temperature 1.",
        "![Rank correlations in the top band](top_band.png)",
        "### Inside the top band",
        _correlation_table(band[ALL]),
        _ceiling_note(band[ALL].of_ceiling, "mean rho"),
        f"### Over the noise levels ({', '.join(f'{x:g}' for x in found.facts['levels'])})",
        _correlation_table(levels[ALL]),
    ]
    for group in [name for name in band if name != ALL]:
        parts += [f"### Inside the top band, {group}", _correlation_table(band[group])]
    return "\n\n".join(parts)


def selection_section(found: Findings) -> str:
    """Return best-of-n."""
    chosen = found.selection[ALL]
    most = chosen.n[-1]
    parts = [
        "## 3. Best of n",
        "The true error of the best scored of n samples of the clone, averaged over all choices of "
        "n of the samples there are. The own head is asked for its error alone; the total score "
        "has to serve both.",
        "![Best of n](best_of_n.png)",
    ]
    for error in STREAM_OF_ERROR:
        columns = {f"{n}": _errors(error, f"best of {n}") for n in chosen.n}
        rows = {
            _label(name, head): dict(zip(columns, by_error[error], strict=True))
            for name, heads in chosen.errors.items()
            for head, by_error in heads.items()
        }
        parts += [f"### {error.upper()}", _table(rows, columns, first="chosen by")]
    parts += [
        f"### Change from one sample to the best of {most}",
        "Paired differences; negative is better.",
        _change_table(chosen),
        _ceiling_note(chosen.of_ceiling, "gain"),
    ]
    for group in [name for name in found.selection if name != ALL]:
        parts += [f"### The same, {group}", _change_table(found.selection[group])]
    return "\n\n".join(parts)


def trust_section(found: Findings) -> str:
    """Return calibration."""
    columns = {
        "accuracy": Quantity("right", "share of pairs", "%", "higher"),
        "ece": Quantity("ECE", "10 bins of equal width", "%", "lower"),
        "brier": Quantity("Brier", "0.25 is a coin's", "1", "lower"),
    }
    rows: Rows = {}
    for kind in found.trust.raw:
        for name, figures in (("T = 1", found.trust.raw), ("", found.trust.fitted)):
            one = figures[kind]
            label = name or f"T = {one.temperature:.2g}, fitted on validation"
            rows[f"{kind}; {label}"] = {
                "accuracy": _percent(one.accuracy),
                "ece": _percent(one.ece),
                "brier": one.brier,
            }
    text = _table(rows, columns, first="pairs") if rows else "There were too few pairs."
    return "\n\n".join(
        [
            "## 4. Calibration",
            "Whether sigmoid(difference of scores / T) is the probability of being right "
            "(Bradley-Terry). For clone samples, right is what the true error says, asked of the "
            "own head if there is one.",
            "![Reliability](reliability.png)",
            text,
        ]
    )


def outlook_section(found: Findings) -> str:
    """Return mean score beside mean true errors, for everything there is."""
    outlook = found.outlook
    columns = {
        "score": Quantity("score", "mean of the reward", "1", "none"),
        **{error: _errors(error, "mean") for error in STREAM_OF_ERROR},
    }
    rows: Rows = {point.label: {"score": point.score, **point.errors} for point in outlook.points}
    order = "; ".join(
        f"{error.upper()} {shown(outlook.rho[error])}, without noise levels "
        f"{shown(outlook.rho_clean[error])}"
        for error in STREAM_OF_ERROR
    )
    return "\n\n".join(
        [
            "## 5. Extrapolation",
            "Mean score beside mean true error. A good reward falls as errors rise, from the "
            "noisiest roll-out to the recording, through everything that reinforcement learning "
            "and best-of-n make.",
            "![Extrapolation](extrapolation.png)",
            _table(rows, columns, first="animations"),
            f"Spearman's rho of the means with minus the mean error: {order}.",
        ]
    )


def probe_section(found: Findings) -> str:
    """Return how often spoilt animations outrank clean ones."""
    models = _models(found.facts["scorers"])
    columns = {name: Quantity(name, "outranks the clean one", "%", "lower") for name in models}
    columns[TOKENISED] = Quantity(REWARD, "outranks it, sent through the tokenizer", "%", "lower")
    columns |= {
        f"better {e}": Quantity(f"truly better, {NEARER[e]}", "share", "%", "none") for e in NEARER
    }
    columns |= {
        f"change {e}": Quantity(f"change of {e.upper()}", "mean", "mm", "none")
        for e in STREAM_OF_ERROR
    }
    rows = {_probe_label(probe): _probe_row(probe, models) for probe in found.probes}
    return "\n\n".join(
        [
            "## 6. Hacking probes",
            "How often each spoilt animation outranks the clone's sample that it was made from, "
            "under the recorded audio and condition, a tie counting one half; beside it how often "
            "the spoilt one really is nearer to the recording: where that is often, outranking is "
            "no mistake. Sent through the tokenizer, the probe is one that a policy on tokens can "
            "make, and nothing marks it but what it shows. Probes that ask the clone again, and "
            "mixtures with its roll-outs of much noise, start from its greedy roll-out.",
            "![Hacking probes](probes.png)",
            _table(rows, columns, first="probe (utterances)"),
        ]
    )


def agreement_section(found: Findings) -> str:
    """Return how far an ensemble's members agree."""
    title = "## 7. Ensemble"
    if found.agreement is None:
        return f"{title}\n\nThe reward model is no ensemble: nothing can disagree."
    columns = {"rho": Quantity("agreement", "mean Spearman's rho of two members", "1", "higher")}
    spread = {"spread": Quantity("spread", "mean deviation of members' scores", "1", "none")}
    agreed: Rows = {label: {"rho": t} for label, t in found.agreement.agreement.items()}
    apart: Rows = {label: {"spread": t} for label, t in found.agreement.spread.items()}
    return "\n\n".join(
        [
            title,
            f"{found.agreement.members} members. Where they do not agree, the reward is guessing.",
            _table(agreed, columns, first="within an utterance, over"),
            _table(apart, spread, first="animations"),
        ]
    )


def _table(rows: Rows, columns: dict[str, Quantity], *, first: str) -> str:
    """Return figures with their intervals; unlike `esarm_env.metrics.table`, decimals go by unit.

    Shares near a bar want one decimal in every column, whatever its largest figure is. More columns
    than a page is wide go on in a table below, with the same rows.
    """
    keys = list(columns)
    n_tables = -(-len(keys) // _COLUMNS)
    parts = [keys[n * len(keys) // n_tables : (n + 1) * len(keys) // n_tables]
             for n in range(n_tables)]  # fmt: skip
    return "\n\n".join(
        _narrow(rows, {key: columns[key] for key in part}, first=first) for part in parts
    )


def _narrow(rows: Rows, columns: dict[str, Quantity], *, first: str) -> str:
    heading = [first, *(quantity.heading for quantity in columns.values())]
    lines = [heading, ["---"] + ["---:"] * len(columns)]
    for label, figures in rows.items():
        cells = [
            shown(figures.get(key, UNKNOWN), digits=DECIMALS[quantity.unit])
            for key, quantity in columns.items()
        ]
        lines.append([label, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pair_table(cells: Iterable[PairCell], names: Iterable[str], *, first: str) -> str:
    names = list(names)
    columns = {name: Quantity(name, "right", "%", "higher") for name in names}
    columns |= {e: Quantity(label, "share of labels", "%", "none") for e, label in CONFIRM.items()}
    rows = {
        f"{cell.label} ({cell.n_pairs})": {
            **{name: _percent(cell.right[name]) for name in names},
            **{error: _percent(cell.confirmed[error]) for error in CONFIRM},
        }
        for cell in cells
    }
    return _table(rows, columns, first=first)


def _steps_table(found: Findings) -> str:
    """Return the reward's accuracy of the clean animation above each strength."""
    strengths = [f"{strength:g}" for strength in found.facts["strengths"]]
    columns = {
        s: Quantity(f"clean above strength {s}", "right by the reward", "%", "higher")
        for s in strengths
    }
    rows = {
        family: {s: _percent(cell.right[REWARD]) for s, cell in cells.items()}
        for family, cells in found.pairs.steps.items()
        if cells
    }
    return _table(rows, columns, first="family")


def _correlation_table(figures: Correlations) -> str:
    columns = {
        f"{measure} {error}": Quantity(f"{symbol}, {error.upper()}", "mean", "1", "higher")
        for error in STREAM_OF_ERROR
        for measure, symbol in (("tau", "tau-b"), ("rho", "rho"))
    }
    rows: Rows = {
        _label(name, head): {
            f"{measure} {error}": group[name][head][error]
            for measure, group in (("tau", figures.tau), ("rho", figures.rho))
            for error in STREAM_OF_ERROR
        }
        for name, heads in figures.rho.items()
        for head in heads
    }
    return _table(rows, columns, first="scorer")


def _change_table(chosen: Selection) -> str:
    columns = {
        f"{unit} {error}": Quantity(error.upper(), "paired change", unit, "lower")
        for error in STREAM_OF_ERROR
        for unit in ("mm", "%")
    }
    rows = {
        _label(name, head): {
            f"{unit} {error}": figure
            for error in STREAM_OF_ERROR
            for unit, figure in (
                ("mm", chosen.change[name][head][error]),
                ("%", _percent(chosen.relative[name][head][error][-1])),
            )
        }
        for name, heads in chosen.change.items()
        for head in heads
    }
    return _table(rows, columns, first="chosen by")


def _ceiling_note(shares: ByScorer, what: str) -> str:
    """Return every scorer's share of what the ceiling reaches."""
    if not shares:
        return (
            "There is no ceiling: a model trained to predict true errors, which estimates what any "
            "could know from the same inputs. Train one with `--train-ceiling`."
        )
    columns = {e: Quantity(e.upper(), f"share of the ceiling's {what}", "%", "higher")
               for e in STREAM_OF_ERROR}  # fmt: skip
    rows = {
        _label(name, head): {e: _percent(figure) for e, figure in figures.items()}
        for name, heads in shares.items()
        if name not in (CEILING, ORACLE)
        for head, figures in heads.items()
    }
    return _table(rows, columns, first="scorer")


def _probe_row(probe: ProbeFigures, models: list[str]) -> dict[str, Triple]:
    row = {name: _percent(probe.outranks[name]) for name in models}
    row[TOKENISED] = _percent(probe.tokenised)
    row |= {f"better {e}": _percent(t) for e, t in probe.truly_better.items()}
    return row | {f"change {e}": t for e, t in probe.change.items()}


def _probe_label(probe: ProbeFigures) -> str:
    return f"{probe.label}{', held out' if probe.held_out else ''} ({probe.n_utterances})"


def _label(name: str, head: str) -> str:
    if name == ORACLE:
        return name
    return f"{name}, {OWN}" if head == OWN else name


def _models(names: list[str]) -> list[str]:
    """Return the scorers that can judge damaged motion; baselines judge roll-outs alone."""
    return [name for name in names if name == REWARD or name in (CEILING, "paper's recipe")]


def _errors(error: str, variant: str) -> Quantity:
    return Quantity(error.upper(), variant, "mm", "lower")


def _percent(figure: Triple) -> Triple:
    mean, low, high = (100 * np.asarray(figure, dtype=np.float64)).tolist()
    return mean, low, high

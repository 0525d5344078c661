"""The label audit, against votes counted by hand."""

import json
import re

import numpy as np
import pytest

from reward.demonstrations import RankedDemonstrations, collect, damaged, ground_truth, motions_of
from reward.demonstrations.audit import audit_labels, errors_of

UTTERANCES = np.array([4, 1, 5])


@pytest.fixture
def ranked(tiny_task, roll_out):
    """Two roll-outs at each of three levels, ground truth, and a shift at two strengths."""
    rolled = collect(roll_out, tiny_task, UTTERANCES, epsilons=(0.0, 0.3, 1.0), rollouts=2, seed=1)
    base = RankedDemonstrations.concatenate([rolled, ground_truth(tiny_task.recorded(UTTERANCES))])
    made = damaged(base, tiny_task, families=("time-shift",), strengths=(0.5, 1.0), seed=0)
    return RankedDemonstrations.concatenate([base, made])


def cells(audit, kind):
    return {
        (round(cell.better, 4), round(cell.worse, 4)): cell
        for cell in audit.levels
        if cell.kind == kind
    }


def test_shares_are_those_counted_by_hand(ranked, tiny_task):
    """Every vote again in plain loops; a tie is one half."""
    rng = np.random.default_rng(0)
    errors = {name: rng.integers(4, size=len(ranked)).astype(np.float32) for name in ("lve", "eve")}
    audit = audit_labels(ranked, tiny_task, errors=errors, resamples=50)
    rolled = ranked.roll_outs
    votes = {"lve": [], "eve": [], "both": []}
    for a in np.flatnonzero(rolled & (ranked.epsilon == 0)):
        for b in np.flatnonzero(rolled & (ranked.epsilon == 1)):
            if ranked.utterance[a] == ranked.utterance[b]:
                vote = {
                    name: 1.0 if e[a] < e[b] else 0.5 if e[a] == e[b] else 0.0
                    for name, e in errors.items()
                }
                for name in vote:
                    votes[name].append(vote[name])
                votes["both"].append(min(vote.values()))
    cell = cells(audit, "epsilon")[0.0, 1.0]
    assert cell.n_pairs == len(votes["lve"]) == 12 and cell.n_utterances == 3
    assert cell.gap == pytest.approx(1.0)
    for name, values in votes.items():
        share, low, high = getattr(cell, name)
        assert share == pytest.approx(np.mean(values)) and low <= share <= high


def test_every_pair_of_levels_and_strengths_has_a_cell(ranked, tiny_task):
    """A pair of levels that is left out is one that nobody checks."""
    audit = audit_labels(ranked, tiny_task, resamples=20)
    assert set(cells(audit, "epsilon")) == {(0.0, 0.3), (0.0, 1.0), (0.3, 1.0)}
    assert set(cells(audit, "ground-truth")) == {(-1.0, 0.0), (-1.0, 0.3), (-1.0, 1.0)}
    assert set(cells(audit, "time-shift")) == {(0.0, 0.5), (0.0, 1.0), (0.5, 1.0)}
    assert len([cell for cell in audit.levels if cell.kind == "across"]) == 1
    gaps = {(cell.better, cell.worse): cell.n_pairs for cell in audit.gaps}
    assert gaps == {(0.23, 0.3): 12, (0.5, 0.75): 12, (0.75, 1.0): 12}


def test_labels_of_good_roll_outs_hold_and_the_truth_has_no_error(ranked, tiny_task):
    """Recordings against all-random tokens: no label should be wrong."""
    errors = errors_of(ranked, tiny_task)
    recorded = (ranked.making.origin == "recording") & ranked.making.untouched
    assert errors["lve"][recorded].max() == 0
    audit = audit_labels(ranked, tiny_task, errors=errors, resamples=50)
    assert cells(audit, "epsilon")[0.0, 1.0].both == (1.0, 1.0, 1.0)
    assert all(cell.lve[0] == 1 for cell in cells(audit, "ground-truth").values())


def test_errors_are_those_of_the_damaged_motion(ranked, tiny_task):
    """Errors of what was there before would confirm nothing."""
    errors, motions = errors_of(ranked, tiny_task), motions_of(ranked, tiny_task)
    row = int(np.flatnonzero(ranked.making.strength == 1)[0])
    alone = tiny_task.errors_of_motion(motions[row][None], ranked.utterance[[row]])
    assert errors["lve"][row] == pytest.approx(alone["lve"][0], rel=1e-4)
    assert errors["eve"][row] == pytest.approx(alone["eve"][0], rel=1e-4)


def test_what_was_never_captured_is_unknown_not_wrong(ranked, tiny_task):
    """A corpus without brows has no upper-face error."""
    lve = np.arange(len(ranked), dtype=np.float32)
    errors = {"lve": lve, "eve": np.full_like(lve, np.nan)}
    audit = audit_labels(ranked, tiny_task, errors=errors, resamples=20)
    assert all(np.isnan(cell.eve[0]) and np.isnan(cell.both[0]) for cell in audit.levels)
    assert "n/a" in audit.markdown()
    assert audit.as_dict()["levels"][0]["eve"] == [None, None, None]
    labels = audit.soft_labels()
    assert set(labels.curves["epsilon"]) == {"mouth"}


def test_tables_and_numbers_can_be_written_down(ranked, tiny_task):
    """JSON knows no nan, and a table without its variants says nothing."""
    audit = audit_labels(ranked, tiny_task, resamples=20, confidence=0.9)
    text = audit.markdown()
    assert "| ε = 0, 0.3 (12) |" in text and "| time-shift 0.5, 1 (" in text
    assert "| ground truth, ε = 0.3 (6) |" in text and "| 0.23 < Δε ≤ 0.3 (12) |" in text
    assert "90 % bootstrap intervals" in text and "on tiny" in text
    assert json.loads(json.dumps(audit.as_dict(), allow_nan=False))["confidence"] == 0.9


def test_soft_labels_are_the_audited_shares(ranked, tiny_task):
    """Lips decide for the mouth, brows for the upper face; both rise with the gap."""
    n = len(ranked)
    errors = {"lve": ranked.epsilon.copy(), "eve": np.zeros(n, dtype=np.float32)}
    labels = audit_labels(ranked, tiny_task, errors=errors, resamples=5).soft_labels()
    gap = np.array([0.3, 1.0], dtype=np.float32)
    np.testing.assert_allclose(labels.probability("epsilon", gap, stream="mouth"), 0.99)
    np.testing.assert_allclose(labels.probability("epsilon", gap, stream="upper"), 0.5)


def test_an_audit_of_equal_ranks_is_refused(ranked, tiny_task):
    """Nothing to check is no clean bill."""
    level = ranked[ranked.roll_outs & (ranked.epsilon == 0)]
    with pytest.raises(ValueError, match=re.escape("equal ranks only (6 animations)")):
        audit_labels(level, tiny_task)

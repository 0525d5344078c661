"""What raters prefer: learned from few noisy answers, added to a reward, and taken apart again."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from esarm_env.core.errors import InputError
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.rewards import resolve_reward
from reward.consensus import ConsensusConfig, ConsensusModel
from reward.naturalness import NaturalnessConfig, NaturalnessModel
from reward.pairs.labelled import LabelledPairs, PairSource
from reward.pairs.preference_file import (
    Preference,
    RatedAnimation,
    motion_digest,
    write_preferences,
)
from reward.plugins.heads import open_heads, open_whole_model
from reward.plugins.learned import LearnedReward, open_learned
from reward.preference import (
    CorrectedModel,
    PreferenceConfig,
    PreferenceModel,
    PreferredAlone,
    agreement_on,
    fit_preference,
    read_judged,
)
from reward.preference.data import split_by_utterance
from reward.preference.network import both_sides
from reward.preference.training import Answers, fit

TIME = "2026-03-01T12:00:00+00:00"
BROW = ARKIT_NAMES.index("browInnerUp")


@pytest.fixture
def run(tiny_task, tmp_path):
    """A folder with the reward stage alone: two heads, untrained, two members."""
    torch.manual_seed(0)
    step = tiny_task.tokenizer.frames_per_chunk
    sizes = {
        "audio_dim": tiny_task.features.dim * step,
        "condition_dim": tiny_task.condition_dim,
        "frames": step,
    }
    config = ConsensusConfig(
        members=2, disagreement=0.5, n_layers=1, n_heads=2, width=8, imagined=2, rank=3, hidden=8
    )
    (tmp_path / "run" / "reward").mkdir(parents=True)
    ConsensusModel(config, **sizes).save(tmp_path / "run" / "reward" / "reward.safetensors")
    natural = NaturalnessModel(NaturalnessConfig(width=8), **sizes)
    natural.save(tmp_path / "run" / "reward" / "naturalness.safetensors")
    return tmp_path / "run"


def animations(task, utterances, n_each, *, seed=0):
    """Return random faces, `n_each` of every utterance, which differ most in raised brows."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(utterances, n_each)
    shape = [(int(task.n_frames[u]), 52) for u in rows]
    still = 0.2 * rng.random((len(rows), 1, 52))
    still[:, :, BROW] *= 4
    made = [0.8 * s + 0.1 * rng.random(sh) for s, sh in zip(still, shape, strict=True)]
    return rows, [m.astype(np.float32) for m in made]


def by_taste(task, utterances, n_each, *, noise=0.0, seed=0):
    """Return all pairs of random faces, judged by who raises the brows more."""
    rows, motions = animations(task, utterances, n_each, seed=seed)
    liked = np.array([m[:, BROW].mean() for m in motions])
    first, second = np.triu_indices(len(rows), 1)
    same = rows[first] == rows[second]
    first, second = first[same], second[same]
    wrong = np.random.default_rng(seed + 1).random(len(first)) < noise
    better = ((liked[first] > liked[second]) != wrong).astype(np.float32)
    return PairSource(rows, motions, LabelledPairs.of(first, second, better))


def test_a_taste_is_found_in_noisy_answers(tiny_task, run):
    """A fifth of the answers is wrong: what is learned foretells the taste on other utterances."""
    base = open_heads(run, tiny_task)
    train = by_taste(tiny_task, np.arange(6), 8, noise=0.2)
    other = by_taste(tiny_task, np.arange(6, 10), 8, seed=5)
    config = PreferenceConfig()
    model = fit_preference(tiny_task, base=base, train=train, config=config, seed=0)
    corrected = CorrectedModel(base, model)

    def agreement(scored):
        scores = LearnedReward(tiny_task, scored).score_motion(other.utterance, other.motions)
        return agreement_on(scores, other)[0].mean

    assert agreement(base) < 0.7 < 0.8 < agreement(corrected) <= 1
    assert agreement(PreferredAlone(corrected)) > 0.8
    assert model.liked[0][0] == "browInnerUp" and model.liked[0][1] > 0.4
    assert sum(abs(share) for _, share in model.liked) == pytest.approx(1)


def test_the_fit_is_the_lasso():
    """At the least of loss and penalty no weight can be moved for less; most weights are zero."""
    rng = np.random.default_rng(0)
    apart = rng.standard_normal((150, 40))
    liked = 2 * apart[:, 0] - apart[:, 1]
    asked = np.where((liked > 0) != (rng.random(150) < 0.2), 0.9, 0.1)
    given = Answers(apart, asked, np.ones(150))
    for penalty in (2.0, 8.0):
        weights = fit(given, penalty)
        slope = apart.T @ (1 / (1 + np.exp(-apart @ weights)) - asked)
        moved = weights != 0
        np.testing.assert_allclose(slope[moved], -penalty * np.sign(weights[moved]), atol=0.05)
        assert np.abs(slope).max() < penalty + 0.05
    assert weights[0] > 0 > weights[1] and moved.sum() < 10


def test_few_answers_correct_a_little(tiny_task, run):
    """Ten answers must not turn a reward over; share and doubt say how far they do."""
    base, source = open_heads(run, tiny_task), by_taste(tiny_task, np.arange(6), 4)

    def kept(**settings):
        config = PreferenceConfig(**settings)
        made = fit_preference(tiny_task, base=base, train=source, config=config, seed=0)
        return float(made.kept), float(made.gain)

    assert len(source.pairs) == 36
    (half, gain), (quarter, more) = kept(share=0.5, doubt=0), kept(share=0.75, doubt=0)
    assert (half, quarter) == (pytest.approx(0.5), pytest.approx(0.25))
    assert more / gain == pytest.approx(1.5)
    assert kept(share=0.5, doubt=36)[0] == pytest.approx(2 / 3), "half of the weight"
    assert kept(share=0.0)[1] == 0


def test_what_nobody_judged_is_not_paid_without_end(tiny_task, run):
    """A policy would leave all faces that people make for a reward that nobody gave."""
    base, source = open_heads(run, tiny_task), by_taste(tiny_task, np.arange(6), 8)
    model = fit_preference(tiny_task, base=base, train=source, config=PreferenceConfig(), seed=0)
    alone = LearnedReward(tiny_task, PreferredAlone(CorrectedModel(base, model)))
    utterances, motions = animations(tiny_task, np.arange(1), 1)
    wild = []
    for raised in (0.0, 1.0, 50.0, 100.0):
        motions[0][:, BROW] = raised
        wild.append(float(alone.score_motion(utterances, motions)[0]))
    assert wild[0] < wild[1] < wild[2] <= wild[3] <= 1.001 * float(model.bound)


def test_the_sum_is_taken_apart_by_chunk_stream_and_term(tiny_task, run, demonstrations):
    """Credit by chunk needs parts that add up, and a sum must show what it is made of."""
    base, source = open_heads(run, tiny_task), by_taste(tiny_task, np.arange(6), 4)
    model = fit_preference(tiny_task, base=base, train=source, config=PreferenceConfig(), seed=0)
    before = open_learned(tiny_task, run)
    written = demonstrations.trajectories
    plain = before.score(written)
    model.save(run / "reward" / "preference.safetensors")
    after = open_learned(tiny_task, None, str(run))
    scores = after.score(written)
    assert np.abs(scores - plain).max() > 0.1
    np.testing.assert_allclose(after.score_chunks(written).sum(axis=(1, 2)), scores, rtol=1e-3)
    np.testing.assert_allclose(sum(after.score_streams(written).values()), scores, rtol=1e-3)
    resolved = resolve_reward("learned", tiny_task, run)
    assert resolved.terms == ("expected-error", "naturalness", "preference")
    terms = resolved.score_terms(written)
    np.testing.assert_allclose(terms.total, scores, rtol=1e-3)
    kept = float(model.kept)
    heads = terms.terms["expected-error"] + 2 * terms.terms["naturalness"]
    np.testing.assert_allclose(heads, plain, rtol=1e-4)
    rest = scores - kept * plain
    np.testing.assert_allclose(terms.terms["preference"], rest, atol=1e-3)
    members = LearnedReward(tiny_task, PreferredAlone(open_whole_model(run, tiny_task)))
    assert members.score_members(written).shape == (4, len(written.utterance))
    (run / "reward" / "preference.safetensors").unlink()
    np.testing.assert_array_equal(open_learned(tiny_task, run).score(written), plain)


def test_a_gradient_goes_through_what_raters_prefer(tiny_task, run):
    """Algorithms that differentiate the reward climb the taste, too."""
    base, source = open_heads(run, tiny_task), by_taste(tiny_task, np.arange(6), 4)
    model = fit_preference(tiny_task, base=base, train=source, config=PreferenceConfig(), seed=0)
    learned = LearnedReward(tiny_task, CorrectedModel(base, model))
    utterances = np.array([0, 1])
    lengths = tiny_task.lengths[utterances]
    tokens = torch.from_numpy(tiny_task.recorded(utterances).tokens).clamp(min=0)
    choices = torch.nn.functional.one_hot(tokens, tiny_task.n_tokens).float().requires_grad_()
    found = learned.differentiable_score(
        choices, utterances, lengths, tiny_task.condition_of(utterances)
    )
    (slope,) = torch.autograd.grad(found.score.sum(), choices)
    assert torch.isfinite(slope).all() and slope.abs().sum() > 0


def test_left_and_right_are_one_movement():
    """A rater who likes raised brows likes both."""
    table = both_sides(
        (ARKIT_NAMES.index("browDownLeft"), ARKIT_NAMES.index("browDownRight"), BROW)
    )
    assert table.shape == (52, 2) and table.sum(dim=0).tolist() == [1, 1]
    assert sorted(table[table > 0].tolist()) == [0.5, 0.5, 1.0]


def test_a_model_of_another_reward_is_refused(tiny_task, run):
    """It would weigh heads that are not there."""
    step = tiny_task.tokenizer.frames_per_chunk
    other = PreferenceModel(members=1, condition_dim=tiny_task.condition_dim, frames=step, heads=1)
    other.save(run / "reward" / "preference.safetensors")
    with pytest.raises(InputError, match="must stand beside the reward model that it was learned"):
        open_learned(tiny_task, run)


def test_files_are_read_with_all_that_can_be_used(tiny_task, tmp_path):
    """A cut line, an unknown utterance, another motion, a test utterance, the same answer twice."""
    rows, motions = animations(tiny_task, np.array([0, 4, 5, 10]), 2)
    names = [f"{n}.npy" for n in range(len(rows))]
    for name, motion in zip(names, motions, strict=True):
        np.save(tmp_path / name, motion)
    ids = tiny_task.ids_of(rows)
    shown = [RatedAnimation(n, motion_digest(m)) for n, m in zip(names, motions, strict=True)]

    def said(row, better, rater="ann"):
        return Preference(ids[row], shown[row], shown[row + 1], better, rater, TIME)

    wrong = Preference(ids[0], RatedAnimation("0.npy", "0" * 64), shown[1], "a", "cid", TIME)
    unknown = Preference("nobody-1", shown[0], shown[1], "a", "cid", TIME)
    given = [said(0, "a"), said(2, "b"), said(4, "tie"), said(0, "b", "bob"), wrong, unknown]
    write_preferences([*given, said(6, "a"), said(2, "b")], tmp_path / "one.jsonl")
    write_preferences([said(0, "a"), said(4, "cannot-tell", "bob")], tmp_path / "two.jsonl")
    with (tmp_path / "one.jsonl").open("a") as file:
        file.write(said(0, "a", "dan").as_line()[:40])
    found = read_judged([tmp_path / "one.jsonl", tmp_path / "two.jsonl"], tiny_task, held_out=0.0)
    assert found.held_out is None and found.undecided == 1
    assert found.train.pairs.probability.tolist() == [1.0, 0.0, 0.5, 0.0]
    said_of = " | ".join(found.problems)
    for part in (
        "one.jsonl: line 9: ",
        "is of a test utterance, on which results are measured",
        "ann on 'ben-04' at 2026-03-01T12:00:00+00:00: is the same answer once more",
        "two.jsonl: ann on 'anna-00' at 2026-03-01T12:00:00+00:00: is the same answer once more",
        "'0.npy' is no longer the animation that was shown",
        "the corpus has no utterance 'nobody-1'",
    ):
        assert part in said_of, said_of
    assert len(found.problems) == 6
    with pytest.raises(InputError, match=re.escape("`preferences.files` must hold an answer that")):
        read_judged([tmp_path / "two.jsonl"][:0], tiny_task, held_out=0.2)


def test_no_utterance_is_on_both_sides(tiny_task):
    """What was learned by heart would count as foretold; one more answer moves no utterance."""
    source = by_taste(tiny_task, np.arange(10), 3)
    train, rest = split_by_utterance(source, tiny_task, share=0.3)
    assert rest is not None and len(train.pairs) + len(rest.pairs) == len(source.pairs) == 30
    assert not set(train.utterance) & set(rest.utterance)
    some = by_taste(tiny_task, np.arange(5), 3)
    _, fewer = split_by_utterance(some, tiny_task, share=0.3)
    assert fewer is not None
    assert set(fewer.utterance) <= set(rest.utterance) or len(set(fewer.utterance)) == 1
    one = by_taste(tiny_task, np.arange(1), 3)
    assert split_by_utterance(one, tiny_task, share=0.3) == (one, None)
    everything, held = split_by_utterance(source, tiny_task, share=0.999)
    assert len(everything.pairs) and held is not None

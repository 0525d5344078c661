"""One trainer for all that compares animations: ranks, numbers, and human choices."""

import re

import numpy as np
import pytest
import torch

from reward.chunks import ChunkBatch
from reward.demonstrations import motions_of
from reward.pairs.from_ranks import RankedPairs
from reward.pairs.labelled import LabelledPairs, PairSource, pairs_of_scores
from reward.ranking.pair_training import PairTrainer
from reward.ranking.settings import RewardConfig

CONFIG = RewardConfig(
    n_layers=1, n_heads=2, width=32, epochs=30, batch_utterances=8, learning_rate=4e-3, dropout=0.0
)


@pytest.fixture
def make_source(tiny_task, make_demonstrations):
    """Return a function: a split's demonstrations with pairs by rank or by number."""

    def make(split, *, by="rank", seed=0):
        shown = make_demonstrations(tiny_task.corpus.split(split), (0.0, 0.5, 1.0), seed=seed)
        if by == "rank":
            pairs = RankedPairs(shown).all()
        else:
            pairs = pairs_of_scores(shown.utterance, -shown.epsilon, scale=0.05)
        return PairSource(shown.utterance, motions_of(shown, tiny_task), pairs)

    return make


@pytest.mark.parametrize("by", ["rank", "number"])
def test_training_recovers_what_the_pairs_say(make_source, tiny_task, by):
    """A label turned round anywhere between a source and the loss would give 0 instead of 1."""
    trainer = PairTrainer(tiny_task, train=make_source("train", by=by), config=CONFIG, seed=0)
    losses = [trainer.advance()["loss"] for _ in range(trainer.n_total)]
    assert losses[-1] < 0.5 * losses[0]
    # Of one fresh draw's 24 pairs, one more or less is a matter of the processor's last digits.
    fresh = [trainer.accuracy(make_source("train", seed=seed)) for seed in range(1, 12)]
    assert np.mean(fresh) >= 0.85


def test_all_sources_train_one_model(make_source, tiny_task):
    """Ranks, numbers and a rater's choices stand behind each other; rows must not be mixed up."""
    ranked, scored = make_source("train"), make_source("train", by="number", seed=1)
    chosen = PairSource(  # a rater who likes the noisy one of the first utterance's
        ranked.utterance[:1].repeat(2),
        [ranked.motions[0], ranked.motions[0] * 0.5],
        LabelledPairs.of(np.array([0]), np.array([1]), np.array([1.0], dtype=np.float32)),
    )
    together = PairSource.joined([ranked, scored, chosen])
    trainer = PairTrainer(tiny_task, train=together, config=CONFIG, seed=0)
    for _ in range(trainer.n_total):
        trainer.advance()
    assert trainer.accuracy(together) >= 0.85
    assert trainer.accuracy(chosen) == 1.0


def test_a_tie_pulls_scores_together(make_source, tiny_task):
    """A rater's "tie" is knowledge, too; as a random choice it would push them apart."""
    ranked = make_source("train")
    tied = LabelledPairs.of(
        ranked.pairs.a, ranked.pairs.b, np.full(len(ranked.pairs), 0.5, dtype=np.float32)
    )
    source = PairSource(ranked.utterance, ranked.motions, tied)
    trainer = PairTrainer(tiny_task, train=source, config=CONFIG, seed=0)
    losses = [trainer.advance()["loss"] for _ in range(20)]
    assert losses[-1] == pytest.approx(np.log(2), abs=0.01)
    assert np.isnan(trainer.accuracy(source)), "nothing was decided"


def test_weights_count(make_source, tiny_task):
    """Pairs of weight 0 must teach nothing."""
    ranked = make_source("train")
    none = LabelledPairs.of(ranked.pairs.a, ranked.pairs.b, ranked.pairs.probability, weight=0.0)
    source = PairSource(ranked.utterance, ranked.motions, none)
    trainer = PairTrainer(tiny_task, train=source, config=CONFIG, seed=0)
    assert trainer.advance()["loss"] == 0


def test_the_training_animations_have_mean_0_and_spread_1(make_source, tiny_task):
    """The zero of a score is what it is explained by."""
    source = make_source("train")
    trainer = PairTrainer(tiny_task, train=source, config=CONFIG, seed=0)
    trainer.advance()
    model = trainer.finish()
    from reward.scoring import score_with

    (scores,) = score_with([model], tiny_task, source.utterance, motions=source.motions)
    assert scores.mean() == pytest.approx(0, abs=1e-4)
    assert scores.std(ddof=1) == pytest.approx(1, abs=1e-2)


def test_an_interrupted_training_ends_with_the_same_weights(make_source, tiny_task):
    """Resuming with other random numbers would make results depend on interruptions."""

    def make():
        return PairTrainer(tiny_task, train=make_source("train"), config=CONFIG, seed=0)

    straight, first, second = make(), make(), make()
    for _ in range(3):
        straight.advance()
    first.advance()
    state = first.state_dict()
    second.load_state_dict(state)
    # The state of torch's own random numbers is the first one's, whatever came between.
    second.advance()
    second.advance()
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_both_animations_of_a_pair_keep_one_stretch(make_source, tiny_task):
    """Other moments of the two would be compared with each other."""
    trainer = PairTrainer(tiny_task, train=make_source("train"), config=CONFIG, seed=0)
    ramp = torch.arange(10.0)[None, :, None].expand(6, 10, 1)
    batch = trainer._crop(ChunkBatch(ramp, ramp, torch.full((6,), 10)))
    first, second = batch.audio.chunk(2)
    assert torch.equal(first, second) and torch.equal(batch.audio, batch.motion)
    assert len(set(first[:, 0, 0].tolist())) > 1, "pairs differ"
    assert int(batch.n_chunks.min()) >= 5


def test_validation_must_be_of_other_utterances(make_source, tiny_task):
    """Accuracy on what was learned by heart is no accuracy."""
    train = make_source("train")
    rule = "`validation` must have other utterances than `train`, got ["
    with pytest.raises(ValueError, match=re.escape(rule)):
        PairTrainer(tiny_task, train=train, validation=train, config=CONFIG, seed=0)
    other = make_source("validation")
    trainer = PairTrainer(tiny_task, train=train, validation=other, config=CONFIG, seed=0)
    assert 0 <= trainer.advance()["validation_accuracy"] <= 1


def test_no_pair_at_all_is_refused(make_source, tiny_task):
    """A file of preferences whose lines were all refused leaves nothing to learn."""
    train = make_source("train")
    empty = PairSource(train.utterance, train.motions, train.pairs[:0])
    with pytest.raises(ValueError, match=re.escape("`train` must have at least one pair, got n")):
        PairTrainer(tiny_task, train=empty, config=CONFIG, seed=0)


@pytest.mark.parametrize("batch_pairs", [None, 3, 1000])
def test_an_update_sees_so_many_pairs(make_source, tiny_task, monkeypatch, batch_pairs):
    """Utterances are the unit of the ranking trainer, which shares the settings."""
    source, seen = make_source("train"), []
    trainer = PairTrainer(tiny_task, train=source, config=CONFIG, seed=0, batch_pairs=batch_pairs)
    update = trainer._update
    monkeypatch.setattr(
        trainer, "_update", lambda pairs: (seen.append(len(pairs)), update(pairs))[1]
    )
    trainer.advance()
    size = CONFIG.batch_utterances if batch_pairs is None else batch_pairs
    assert sum(seen) == len(source.pairs)
    assert max(seen) == min(size, len(source.pairs)) and len(seen) == -(-len(source.pairs) // size)


def test_no_pair_an_update_is_refused(make_source, tiny_task):
    """`range` would complain of a step of 0 in the middle of training."""
    with pytest.raises(ValueError, match=re.escape("`batch_pairs` must be at least 1, got 0")):
        PairTrainer(tiny_task, train=make_source("train"), config=CONFIG, seed=0, batch_pairs=0)

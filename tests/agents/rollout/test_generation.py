"""Writing sequences: the right distribution, whatever the batch, and reproducible."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.network.transformer import MotionTransformer
from agents.protocols import FloatArray, IntArray, SequenceTask
from agents.rollout.decoding import Decoding, choose
from agents.rollout.generation import Rollout, generate
from esarm_env.core.seeds import sequence_seeds

_SAMPLED = Decoding(temperature=1.0)
_PROBABILITIES = [0.1, 0.2, 0.3, 0.4]


def _logits(n_rows: int) -> Tensor:
    """Return logits of `_PROBABILITIES`, shifted, because softmax does not mind."""
    return (torch.tensor(_PROBABILITIES).log() + 2.5).expand(n_rows, -1)


def _noise(*, explore: Any = 0.0, where: Any = 0.0, sample: Any = 0.0, n: int = 1) -> Tensor:
    """Return uniforms (3, n): to explore or not, where to, what to sample."""
    rows = [torch.as_tensor(row, dtype=torch.float32).expand(n) for row in (explore, where, sample)]
    return torch.stack(rows)


def _grid(n: int) -> Tensor:
    """Return `n` uniforms, evenly spread: their counts are exact where random ones scatter."""
    return (torch.arange(n) + 0.5) / n


def _write(
    model: MotionTransformer,
    task: SequenceTask,
    utterances: IntArray | list[int],
    *,
    decoding: Decoding = _SAMPLED,
    run: int = 0,
    iteration: int = 0,
    samples: IntArray | int = 0,
    condition: FloatArray | None = None,
    batch_size: int = 64,
) -> Rollout:
    chosen = np.asarray(utterances)
    seeds = sequence_seeds(
        run_seed=run,
        iteration=iteration,
        utterances=chosen,
        samples=np.broadcast_to(samples, chosen.shape),
    )
    return generate(
        model,
        task,
        chosen,
        condition=task.condition_of(chosen) if condition is None else condition,
        decoding=decoding,
        seeds=seeds,
        batch_size=batch_size,
    )


def _full_logits(model: MotionTransformer, task: SequenceTask, tokens: IntArray) -> Tensor:
    """Return logits (N, L, K) of one full pass over `tokens` of all utterances."""
    utterances = np.arange(len(tokens))
    with torch.no_grad():
        logits, _ = model(
            torch.from_numpy(task.audio_windows(utterances)),
            torch.from_numpy(task.condition_of(utterances)),
            torch.from_numpy(tokens),
        )
    return logits


@pytest.mark.parametrize(
    ("uniform", "token"),
    [(0.0, 0), (0.05, 0), (0.15, 1), (0.29, 1), (0.31, 2), (0.59, 2), (0.61, 3), (1.0, 3)],
)
def test_a_uniform_picks_the_token_whose_share_it_falls_into(uniform: float, token: int) -> None:
    """Shares are 0.1, 0.3, 0.6, 1 when summed; 1.0 is what a float32 may round a uniform up to."""
    assert choose(_logits(1), _SAMPLED, _noise(sample=uniform)).tolist() == [token]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_sampled_shares_are_the_softmax(temperature: float) -> None:
    """A temperature applied twice or upside down still samples something plausible."""
    n = 10_000
    chosen = choose(_logits(n), Decoding(temperature=temperature), _noise(sample=_grid(n), n=n))
    weights = np.array(_PROBABILITIES) ** (1 / temperature)
    expected = weights / weights.sum() * n
    np.testing.assert_allclose(np.bincount(chosen, minlength=4), expected, atol=2)


def test_greedy_takes_the_most_likely_and_ignores_the_sample() -> None:
    """Deterministic evaluation must not depend on the seed."""
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.0]])
    for sample in (0.0, 0.5, 0.999):
        assert choose(logits, Decoding(), _noise(sample=sample, n=2)).tolist() == [1, 0]


def test_full_epsilon_is_uniform() -> None:
    """The noisiest demonstrations of a ranking must hold nothing of the policy."""
    n = 10_000
    noise = _noise(explore=torch.rand(n), where=_grid(n), n=n)
    chosen = choose(_logits(n), Decoding(temperature=1.0, epsilon=1.0), noise)
    assert np.bincount(chosen, minlength=4).tolist() == [n // 4] * 4


@pytest.mark.parametrize("epsilon", [0.02, 0.25, 0.75])
def test_epsilon_is_the_share_of_random_tokens(epsilon: float) -> None:
    """Ranks of demonstrations are their noise levels: a wrong share is a wrong label."""
    n = 10_000
    logits = torch.tensor([[0.0, 0.0, 9.0]]).expand(n, -1)
    noise = _noise(explore=_grid(n), where=0.0, n=n)
    chosen = choose(logits, Decoding(epsilon=epsilon), noise)
    assert int((chosen == 0).sum()) == round(epsilon * n)
    assert int((chosen == 2).sum()) == round((1 - epsilon) * n)


@pytest.mark.parametrize(("where", "token"), [(0.0, 0), (0.26, 1), (0.99, 3), (1.0, 3)])
def test_a_random_token_stays_in_range(where: float, token: int) -> None:
    """A uniform that rounds up to 1 must not become a token that does not exist."""
    noise = _noise(where=where)
    assert choose(_logits(1), Decoding(epsilon=1.0), noise).tolist() == [token]


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_lowest_temperature_is_nearly_greedy(scale: float) -> None:
    """Logits that overflow when divided would be nan, and write token 0 for ever."""
    logits = scale * torch.tensor([[0.0, 50.0, 1.0]])
    for sample in (1e-6, 0.5, 0.999):
        noise = _noise(sample=sample)
        assert choose(logits, Decoding(temperature=1e-3), noise).tolist() == [1]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"temperature": -0.1}, "`temperature` must be 0 (greedy) or at least 0.001, got -0.1"),
        ({"temperature": 9e-4}, "`temperature` must be 0 (greedy) or at least 0.001, got 0.0009"),
        ({"temperature": 1e-38}, "`temperature` must be 0 (greedy) or at least 0.001, got 1e-38"),
        (
            {"temperature": float("nan")},
            "`temperature` must be 0 (greedy) or at least 0.001, got nan",
        ),
        ({"epsilon": -0.01}, "`epsilon` must be in [0, 1], got -0.01"),
        ({"epsilon": 1.01}, "`epsilon` must be in [0, 1], got 1.01"),
        ({"epsilon": float("nan")}, "`epsilon` must be in [0, 1], got nan"),
    ],
)
def test_a_decoding_out_of_range_is_rejected(settings: dict[str, float], rule: str) -> None:
    """A negative temperature would prefer the least likely token without a word."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        Decoding(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": 1e-3},
        {"temperature": 5.0},
        {"epsilon": 0.0},
        {"epsilon": 1.0},
    ],
)
def test_the_limits_of_a_decoding_are_allowed(settings: dict[str, float]) -> None:
    """Greedy and purely random are the two ends that experiments need."""
    assert vars(Decoding(**settings)) | settings == vars(Decoding(**settings))


def test_seeds_name_the_sequence_and_not_its_batch() -> None:
    """Two sequences with one seed are one sample counted twice."""
    seeds = sequence_seeds(
        run_seed=7, iteration=2, utterances=np.array([5, 5, 9]), samples=np.array([0, 1, 0])
    )
    assert seeds.tolist() == [[7, 2, 5, 0], [7, 2, 5, 1], [7, 2, 9, 0]]


@pytest.mark.parametrize("decoding", [Decoding(), _SAMPLED, Decoding(1.0, epsilon=0.5)])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 12])
def test_the_result_does_not_depend_on_the_batches(
    model: MotionTransformer, task: SequenceTask, decoding: Decoding, batch_size: int
) -> None:
    """Otherwise a table would change with the memory of the machine that made it."""
    utterances = np.arange(12)
    one = _write(model, task, utterances, decoding=decoding)
    other = _write(model, task, utterances, decoding=decoding, batch_size=batch_size)
    np.testing.assert_array_equal(other.tokens, one.tokens)
    np.testing.assert_allclose(other.log_probs, one.log_probs, atol=1e-5)
    np.testing.assert_allclose(other.values, one.values, atol=1e-5)


def test_the_result_does_not_depend_on_the_order(
    model: MotionTransformer, task: SequenceTask, rng: np.random.Generator
) -> None:
    """Rows are sorted by length inside: each must come back to its own place."""
    utterances = rng.permutation(12)
    straight = _write(model, task, np.arange(12), batch_size=4)
    shuffled = _write(model, task, utterances, batch_size=4)
    np.testing.assert_array_equal(shuffled.tokens, straight.tokens[utterances])
    np.testing.assert_array_equal(shuffled.lengths, straight.lengths[utterances])
    np.testing.assert_allclose(shuffled.log_probs, straight.log_probs[utterances], atol=1e-5)
    np.testing.assert_allclose(shuffled.values, straight.values[utterances], atol=1e-5)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(0.7), Decoding(1.0, epsilon=0.5)])
def test_log_probabilities_are_those_of_the_full_pass(
    model: MotionTransformer, task: SequenceTask, decoding: Decoding
) -> None:
    """They are the denominator of the ratio: of what was sampled from, cached or not."""
    written = _write(model, task, np.arange(12), decoding=decoding)
    logits = _full_logits(model, task, written.tokens)
    index = torch.from_numpy(written.tokens).clamp(min=0)[..., None]
    tempered = logits / (decoding.temperature or 1.0)
    expected = tempered.log_softmax(-1).gather(2, index)[..., 0].numpy()
    inside = written.tokens >= 0
    np.testing.assert_allclose(written.log_probs[inside], expected[inside], atol=1e-5)


def test_greedy_sequences_are_their_own_most_likely_continuations(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Fed back one step late, the tokens would still look greedy one by one."""
    written = _write(model, task, np.arange(12), decoding=Decoding())
    best = _full_logits(model, task, written.tokens).argmax(-1).numpy()
    inside = written.tokens >= 0
    np.testing.assert_array_equal(written.tokens[inside], best[inside])


def test_padding_is_exact(model: MotionTransformer, task: SequenceTask) -> None:
    """One stray token behind the end is scored as motion, or counted in a mean."""
    written = _write(model, task, [11, 0, 4, 8, 1])
    np.testing.assert_array_equal(written.lengths, [6, 2, 4, 6, 2])
    inside = np.arange(6) < written.lengths[:, None]
    assert (written.tokens[~inside] == -1).all()
    assert (written.tokens[inside] >= 0).all() and (written.tokens < task.n_tokens).all()
    assert (written.log_probs[~inside] == 0).all() and (written.log_probs[inside] < 0).all()
    assert (written.values[~inside] == 0).all() and (written.values[inside] != 0).all()
    assert written.tokens.dtype == np.int64
    assert written.log_probs.dtype == written.values.dtype == np.float32


def test_the_same_seeds_write_the_same_tokens(model: MotionTransformer, task: SequenceTask) -> None:
    """Nothing may hang on torch's global generator: it is not part of a resumed run."""
    torch.manual_seed(1)
    one = _write(model, task, np.arange(12))
    torch.manual_seed(2)
    np.testing.assert_array_equal(_write(model, task, np.arange(12)).tokens, one.tokens)


@pytest.mark.parametrize("other", [{"run": 1}, {"iteration": 1}, {"samples": 1}])
def test_other_seeds_write_other_tokens(
    model: MotionTransformer, task: SequenceTask, other: dict[str, int]
) -> None:
    """Samples of one utterance that are all alike have no advantage over each other."""
    one, two = _write(model, task, np.arange(12)), _write(model, task, np.arange(12), **other)
    inside = one.tokens >= 0
    assert 0.1 < (one.tokens == two.tokens)[inside].mean() < 0.9


def test_samples_of_one_utterance_follow_the_policy(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """The first two tokens of 3000 samples, against probabilities multiplied out by hand."""
    n = 3000
    written = _write(model, task, np.full(n, 2), samples=np.arange(n), batch_size=n)
    pairs = np.array([[first, second] for first in range(4) for second in range(4)])
    with torch.no_grad():
        row = np.full(16, 2)
        logits, _ = model(
            torch.from_numpy(task.audio_windows(row)),
            torch.from_numpy(task.condition_of(row)),
            torch.from_numpy(pairs),
        )
    shares = logits.softmax(-1).gather(2, torch.from_numpy(pairs)[..., None])[..., 0].prod(1)
    expected = shares.double().numpy()
    counts = np.bincount(written.tokens[:, 0] * 4 + written.tokens[:, 1], minlength=16)
    error = np.abs(counts / n - expected) / np.sqrt(expected * (1 - expected) / n)
    assert expected.sum() == pytest.approx(1, abs=1e-5)
    assert error.max() < 4, f"{error.max():.1f} standard errors off"


def test_the_condition_given_is_the_condition_used(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Animating under another emotion than the recorded one is the point of a condition."""
    recorded = task.condition_of(np.arange(12))
    one = _write(model, task, np.arange(12))
    same = _write(model, task, np.arange(12), condition=recorded.copy())
    other = _write(model, task, np.arange(12), condition=recorded[::-1].copy())
    np.testing.assert_array_equal(one.log_probs, same.log_probs)
    assert np.abs(one.log_probs[:, 0] - other.log_probs[:, 0]).min() > 0


def test_pure_noise_is_the_same_for_every_policy(
    task: SequenceTask, make_model: Callable[..., MotionTransformer]
) -> None:
    """The worst rank is a floor to compare with only if no policy shows through."""
    noise = Decoding(temperature=1.0, epsilon=1.0)
    one, two = (
        _write(make_model(task, seed=seed), task, np.arange(12), decoding=noise) for seed in (0, 1)
    )
    np.testing.assert_array_equal(one.tokens, two.tokens)
    assert not np.array_equal(one.log_probs, two.log_probs)


def test_dropout_is_switched_off(
    task: SequenceTask, make_model: Callable[..., MotionTransformer]
) -> None:
    """Log-probabilities under dropout are those of a network that never writes again."""
    model = make_model(task, dropout=0.5).train()
    written = _write(model, task, np.arange(12))
    assert not model.training
    again = _write(model, task, np.arange(12))
    np.testing.assert_array_equal(written.log_probs, again.log_probs)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_of_nothing_are_rejected(
    model: MotionTransformer, task: SequenceTask, batch_size: int
) -> None:
    """At -1 every token stays -1: an animation of padding, with probability 1."""
    rule = f"`batch_size` must be at least 1, got {batch_size}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        _write(model, task, [0, 1], batch_size=batch_size)

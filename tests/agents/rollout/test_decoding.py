"""Decodings: expected distance by hand, truncated sampling, contradictions, and names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents import Decoding, MotionTransformer
from agents.network.acceleration import Acceleration
from agents.protocols import SequenceTask
from agents.rollout.decoding import (
    choose,
    distance_table,
    least_expected_distance,
    sampling_logits,
)
from agents.rollout.generation import Rollout, generate
from agents.rollout.named_decoding import NamedDecoding, deterministic_decoding
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds

MakeModel = Callable[..., MotionTransformer]

_BY_DISTANCE = Decoding(expected_distance=True)
# The likeliest code stands far off; the two next to it are one and the same face, nearly.
_CHANCES = [0.4, 0.3, 0.3]
_APART = [[0.0, 10.0, 10.0], [10.0, 0.0, 1.0], [10.0, 1.0, 0.0]]


def _distances(task: SequenceTask, *, seed: int = 0) -> np.ndarray:
    """Return random distances of the task's codes: symmetric, zero on the diagonal."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(task.tokens_per_chunk, task.n_tokens, 1, 2))
    apart = np.linalg.norm(points - points.swapaxes(1, 2), axis=-1)
    return apart.astype(np.float32)


@pytest.fixture
def measured(model: MotionTransformer, task: SequenceTask) -> MotionTransformer:
    """Return a network that knows distances."""
    model.set_code_distances(_distances(task))
    return model


def _write(
    model: MotionTransformer,
    task: SequenceTask,
    decoding: Decoding,
    *,
    batch_size: int = 64,
    utterances: Any = None,
) -> Rollout:
    chosen = np.arange(12) if utterances is None else np.asarray(utterances)
    return generate(
        model,
        task,
        chosen,
        condition=task.condition_of(chosen),
        decoding=decoding,
        seeds=sequence_seeds(run_seed=0, iteration=0, utterances=chosen, samples=0),
        batch_size=batch_size,
    )


def _full_logits(model: MotionTransformer, task: SequenceTask, tokens: Any) -> Tensor:
    rows = np.arange(len(tokens))
    arrays = (task.audio_windows(rows), task.condition_of(rows), tokens)
    with torch.no_grad():
        return model(*map(torch.from_numpy, arrays))[0]


def test_the_least_expected_distance_is_as_by_hand() -> None:
    """Risks are 6, 4.3 and 4.3: the likeliest token is the worst, and of equal ones the first."""
    logits = torch.tensor(_CHANCES).log()[None] + 3
    noise = torch.zeros(3, 1)
    table = torch.tensor(_APART)
    assert choose(logits, Decoding(), noise).tolist() == [0]
    assert choose(logits, _BY_DISTANCE, noise, table).tolist() == [1]


def test_rows_at_different_slots_weigh_different_distances() -> None:
    """Environments that began at different times are at different slots of their chunks."""
    logits = torch.tensor([_CHANCES, _CHANCES]).log()
    near = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 9.0], [1.0, 9.0, 0.0]])
    tables = torch.stack([torch.tensor(_APART), near])
    assert least_expected_distance(logits, tables).tolist() == [1, 0]


def test_epsilon_works_on_top_of_expected_distance() -> None:
    """Demonstrations of every noise level come from one decoding."""
    n, table = 1000, torch.tensor(_APART)
    logits = torch.tensor(_CHANCES).log().expand(n, -1)
    noise = torch.stack([(torch.arange(n) + 0.5) / n, torch.zeros(n), torch.zeros(n)])
    chosen = choose(logits, Decoding(epsilon=0.25, expected_distance=True), noise, table)
    assert (int((chosen == 0).sum()), int((chosen == 1).sum())) == (250, 750)


def test_written_tokens_have_the_least_expected_distance_at_every_step(
    measured: MotionTransformer, task: SequenceTask
) -> None:
    """A table of another slot, or a history that is not the one written, goes unseen in means."""
    rollout = _write(measured, task, _BY_DISTANCE)
    chances = _full_logits(measured, task, rollout.tokens).softmax(-1).numpy()
    table = _distances(task)
    differs = False
    for row, length in enumerate(rollout.lengths):
        for step in range(length):
            risks = table[step % task.tokens_per_chunk] @ chances[row, step]
            assert risks[rollout.tokens[row, step]] == pytest.approx(risks.min(), abs=1e-5)
            differs |= chances[row, step].argmax() != rollout.tokens[row, step]
            logged = np.log(chances[row, step, rollout.tokens[row, step]])
            assert rollout.log_probs[row, step] == pytest.approx(logged, abs=1e-4)
    assert differs, "else greedy decoding would pass, too"


def test_the_step_that_a_graph_records_chooses_the_same(
    measured: MotionTransformer, task: SequenceTask
) -> None:
    """On a GPU the step counts for itself, and its table is looked up by a slot on the device."""
    from agents.rollout.generation import Generation, GenerationInputs

    rows = np.arange(8, 12)
    inputs = GenerationInputs(
        windows=torch.from_numpy(task.audio_windows(rows)),
        condition=torch.from_numpy(task.condition_of(rows)),
        noise=torch.zeros(3, 4, 6),
    )
    with torch.inference_mode():
        plain, counted = (Generation(measured, inputs, _BY_DISTANCE) for _ in range(2))
        plain.run()
        for step in range(6):
            counted.step_at(torch.tensor([step]))
    torch.testing.assert_close(counted.tokens, plain.tokens)


@pytest.mark.parametrize(
    "decoding",
    [
        _BY_DISTANCE,
        Decoding(beam=3),
        Decoding(temperature=0.8, top_k=2),
        Decoding(temperature=1.5, top_p=0.6),
    ],
)
def test_a_row_does_not_depend_on_its_batch(
    measured: MotionTransformer, task: SequenceTask, decoding: Decoding
) -> None:
    """Padding behind a short row must not change it: a beam would be chosen by silence."""
    together = _write(measured, task, decoding)
    for utterance in (0, 5, 11):
        alone = _write(measured, task, decoding, utterances=[utterance], batch_size=1)
        length = alone.lengths[0]
        np.testing.assert_array_equal(together.tokens[utterance, :length], alone.tokens[0])
        np.testing.assert_allclose(
            together.log_probs[utterance, :length], alone.log_probs[0], atol=1e-4
        )


def test_slots_whose_codes_all_look_alike_are_decoded_greedily(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Where every risk is 0 the least is that of token 0, whatever the policy says."""
    table = _distances(task)
    table[1] = 0
    model.set_code_distances(table)
    rollout = _write(model, task, _BY_DISTANCE)
    likeliest = _full_logits(model, task, rollout.tokens).argmax(-1).numpy()
    inside = np.arange(rollout.tokens.shape[1]) < rollout.lengths[:, None]
    of_slot = np.arange(rollout.tokens.shape[1]) % task.tokens_per_chunk == 1
    where = inside & of_slot
    np.testing.assert_array_equal(rollout.tokens[where], likeliest[where])
    assert len(set(likeliest[where].tolist())) > 1
    torch.testing.assert_close(distance_table(model)[0], torch.from_numpy(table[0]))


def test_a_policy_that_knows_no_distances_says_what_to_do(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """A policy of an older version, decoded by distances of 0, would write token 0 for ever."""
    remedy = re.escape("call `model.set_code_distances(task.code_distances)` with its task")
    with pytest.raises(InputError, match=remedy):
        _write(model, task, _BY_DISTANCE)
    with pytest.raises(InputError, match=remedy):
        deterministic_decoding(model, "expected-distance")
    assert deterministic_decoding(model) == Decoding()


@pytest.mark.parametrize(
    ("decoding", "shares"),
    [
        (Decoding(temperature=1.0, top_k=2), [0.0, 0.0, 3 / 7, 4 / 7]),
        (Decoding(temperature=1.0, top_k=9), [0.1, 0.2, 0.3, 0.4]),
        (Decoding(temperature=1.0, top_p=0.69), [0.0, 0.0, 3 / 7, 4 / 7]),
        (Decoding(temperature=1.0, top_p=0.71), [0.0, 2 / 9, 3 / 9, 4 / 9]),
        (Decoding(temperature=1.0, top_p=0.01), [0.0, 0.0, 0.0, 1.0]),
        # Of the three that are left the likeliest hold 3/9 + 4/9.
        (Decoding(temperature=1.0, top_k=3, top_p=0.7), [0.0, 0.0, 3 / 7, 4 / 7]),
        # Squares at half the temperature: 1, 4, 9 and 16 of 30; the last two hold 25/30.
        (Decoding(temperature=0.5, top_p=0.8), [0.0, 0.0, 9 / 25, 16 / 25]),
    ],
)
def test_truncated_sampling_has_the_shares_of_what_is_left(
    decoding: Decoding, shares: list[float]
) -> None:
    """By hand: the fewest likeliest tokens that hold the share, cut after the temperature."""
    n = 10_000
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(n, -1)
    noise = torch.zeros(3, n)
    noise[2] = (torch.arange(n) + 0.5) / n
    counts = np.bincount(choose(logits, decoding, noise), minlength=4)
    np.testing.assert_allclose(counts / n, shares, atol=2e-4)
    np.testing.assert_allclose(sampling_logits(logits[0], decoding).softmax(-1), shares, atol=1e-6)


@pytest.mark.parametrize("uniform", [0.0, 1e-9, 1.0])
def test_what_is_left_out_is_never_drawn(uniform: float) -> None:
    """The ends of [0, 1]: 0 falls on a first token that is left out, 1 behind the last."""
    logits = torch.tensor([[-2.0, 1.0, 2.0, -3.0]])
    for decoding in (Decoding(1.0, top_k=2), Decoding(1.0, top_p=0.9)):
        noise = torch.full((3, 1), uniform)
        assert choose(logits, decoding, noise).item() in (1, 2)


def test_equal_logits_leave_exactly_k() -> None:
    """A threshold would keep all of them, and `top_k=1` would not be greedy."""
    logits = torch.zeros(1, 5)
    assert int(sampling_logits(logits, Decoding(1.0, top_k=2)).isfinite().sum()) == 2
    assert int(sampling_logits(logits, Decoding(1.0, top_p=0.35)).isfinite().sum()) == 2


def test_log_probabilities_are_those_of_what_is_left(
    model: MotionTransformer, task: SequenceTask
) -> None:
    """Those of the whole distribution would be of another policy than the one that wrote."""
    decoding = Decoding(temperature=0.7, top_k=3, top_p=0.9)
    rollout = _write(model, task, decoding)
    left = sampling_logits(_full_logits(model, task, rollout.tokens), decoding).log_softmax(-1)
    for row, length in enumerate(rollout.lengths):
        for step in range(length):
            expected = left[row, step, rollout.tokens[row, step]].item()
            assert rollout.log_probs[row, step] == pytest.approx(expected, abs=1e-4)
            assert np.isfinite(rollout.log_probs[row, step])


def test_the_likeliest_token_alone_is_greedy(model: MotionTransformer, task: SequenceTask) -> None:
    """Two ways to say one thing."""
    greedy = _write(model, task, Decoding()).tokens
    for decoding in (Decoding(1.0, top_k=1), Decoding(1.0, top_p=1e-9), Decoding(beam=1)):
        np.testing.assert_array_equal(_write(model, task, decoding).tokens, greedy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": -1}, "`top_k` must be a whole number of at least 0, got -1"),
        ({"top_k": 2.0}, "`top_k` must be a whole number of at least 0, got 2.0"),
        ({"beam": True}, "`beam` must be a whole number of at least 0, got True"),
        ({"top_p": 0.0}, "`top_p` must be above 0 and at most 1, got 0.0"),
        ({"top_p": float("nan")}, "`top_p` must be above 0 and at most 1, got nan"),
        ({"temperature": float("nan")}, "`temperature` must be 0 (greedy) or at least 0.001"),
        ({"top_k": 5}, "`top_k` and `top_p` must be left out where nothing is sampled"),
        ({"top_p": 0.9}, "`top_k` and `top_p` must be left out where nothing is sampled"),
        ({"expected_distance": True, "beam": 4}, "`expected_distance` and `beam` must not both"),
        (
            {"expected_distance": True, "temperature": 1.0},
            "`temperature` must be 0 where `expected_distance` chooses, got 1.0",
        ),
        ({"beam": 4, "temperature": 0.5}, "`temperature` must be 0 where `beam` chooses, got 0.5"),
        ({"beam": 4, "epsilon": 0.1}, "`epsilon` must be 0 where `beam` chooses, got 0.1"),
        ({"expected_distance": True, "top_k": 5}, "`top_k` and `top_p` must be left out where"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    """One of the two would be ignored, and a table would say it was not."""
    with pytest.raises(ValueError, match=re.escape(message)):
        Decoding(**settings)


@pytest.mark.parametrize(
    ("asked", "decoding"),
    [
        (NamedDecoding(), _BY_DISTANCE),
        (NamedDecoding(temperature=0.0), Decoding()),  # the most likely token, as it does anywhere
        (NamedDecoding("expected-distance", temperature=0.0), _BY_DISTANCE),
        (NamedDecoding("greedy"), Decoding()),
        (NamedDecoding("expected-distance"), _BY_DISTANCE),
        (NamedDecoding("sampled"), Decoding(temperature=1.0)),
        (NamedDecoding("sampled", 0.5, 8, 0.9), Decoding(0.5, top_k=8, top_p=0.9)),
        (NamedDecoding(temperature=0.5), Decoding(temperature=0.5)),
        (NamedDecoding(top_p=0.9), Decoding(temperature=1.0, top_p=0.9)),
        (NamedDecoding("beam"), Decoding(beam=4)),
        (NamedDecoding("beam", beam=7), Decoding(beam=7)),
    ],
)
def test_a_name_stands_for_its_decoding(
    measured: MotionTransformer, asked: NamedDecoding, decoding: Decoding
) -> None:
    """The command line knows names alone."""
    assert asked.of(measured) == decoding
    if asked.name not in ("auto",):
        assert decoding.name == asked.name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "mbr"}, "`decoding` must be one of auto, greedy, expected-distance, median, "),
        ({"name": "greedy", "temperature": 0.5}, "must be left out of greedy decoding, got 0.5"),
        ({"name": "beam", "top_k": 3}, "`temperature`, `top_k` and `top_p` must be left out of"),
        ({"name": "expected-distance", "top_p": 0.5}, "must be left out of expected-distance"),
        ({"name": "sampled", "temperature": 0.0}, "`temperature` must be at least 0.001 to sample"),
        (
            {"name": "sampled", "temperature": 0.0},
            "got 0.0; `decoding` greedy takes the",
        ),
        ({"beam": 3}, "`beam` must be left out of auto decoding, got 3"),
        ({"name": "beam", "beam": -1}, "`beam` must be a whole number of at least 0, got -1"),
        ({"temperature": -1.0}, "`temperature` must be 0 (greedy) or at least 0.001, got -1.0"),
        ({"temperature": 0.0, "top_k": 2}, "`top_k` and `top_p` must be left out where nothing"),
    ],
)
def test_a_setting_of_another_decoding_is_refused(settings: dict[str, Any], message: str) -> None:
    """`--decoding greedy --temperature 0.5` would silently be one of the two."""
    with pytest.raises(InputError, match=re.escape(message)):
        NamedDecoding(**settings)


def test_a_recorded_step_cannot_search(model: MotionTransformer, task: SequenceTask) -> None:
    """A graph replays one step, and reordered caches are no part of it."""
    chosen = np.arange(2)
    fake = Acceleration(cuda_graphs=True)
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(InputError, match=re.escape("`beam` must be 0 with `cuda_graphs`, got 2")),
    ):
        patch.setattr(Acceleration, "check_for", lambda self, device: None)
        generate(
            model,
            task,
            chosen,
            condition=task.condition_of(chosen),
            decoding=Decoding(beam=2),
            seeds=sequence_seeds(run_seed=0, iteration=0, utterances=chosen, samples=0),
            acceleration=fake,
        )

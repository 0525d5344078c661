from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.baselines.rivals.base import RivalBatch, RivalSizes
from agents.baselines.rivals.code_prior import CodePrior
from agents.baselines.rivals.meshtalk import N_CLASSES, N_HEADS, MeshTalk
from esarm_env.core.errors import InputError

N_FEATURES, N_CURVES = 6, 4  # the first two curves are the mouth, the last closes the eyes
OUR_PARAMETERS = 1_344_849 + 1_119_547  # policy and speech encoder of a run of demo size
MOUTH, EYELIDS = np.array([1, 1, 0, 0], dtype=bool), np.array([0, 0, 0, 1], dtype=bool)


def distance(curves: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    return (curves - target)[inside].abs().mean()


def make(width: int = 16, condition_dim: int = 0, temperature: float = 1.0) -> MeshTalk:
    torch.manual_seed(0)
    pose = np.full(N_CURVES, 0.5, dtype=np.float32)
    sizes = RivalSizes(
        N_FEATURES, condition_dim, pose, n_emotions=2, width=width, mouth=MOUTH, eyelids=EYELIDS
    )
    return MeshTalk(sizes, distance, temperature=temperature)


def speech(
    n_rows: int = 4, n_frames: int = 12, *, seed: int = 0, loudness: float = 1.0
) -> RivalBatch:
    """Return utterances whose mouth is heard, and whose upper face nothing tells of."""
    random = torch.Generator().manual_seed(seed)
    heard = (torch.randn(n_rows, n_frames, N_FEATURES, generator=random) > 0).float()
    upper = torch.rand(n_rows, 1, 2, generator=random).round().expand(-1, n_frames, -1)
    return RivalBatch(
        features=loudness * heard,
        curves=torch.cat([heard[..., :2], upper], dim=-1),
        condition=torch.zeros(n_rows, 0),
        inside=torch.ones(n_rows, n_frames, dtype=torch.bool),
        emotions=torch.zeros(n_rows, dtype=torch.long),
    )


def swapped_mouth(rival: MeshTalk, batch: RivalBatch) -> Tensor:
    """Return the curves of the audio of each row and the expression of the row before it."""
    heard = rival.audio(batch.features, batch.condition, batch.inside)
    shown = rival.expression((batch.curves - rival.mean_pose).roll(1, 0))
    return rival.decode(rival.latents(rival.logits(heard, shown)))


def learn(rival: MeshTalk, *, crossed: bool) -> list[float]:
    """Train the latents; return the cross-modality losses on the way."""
    rival.curve_loss = lambda made, target, inside: 10 * (made - target)[inside].square().mean()
    optimizer = torch.optim.Adam(rival.begin_stage(0), lr=5e-3)
    values = []
    for step in range(120):
        terms = rival.losses(speech(16, 4, seed=step, loudness=0.2), 0)
        values.append(terms["cross_modality"].item())
        wanted = [term for name, term in terms.items() if crossed or name != "cross_modality"]
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(wanted).sum())
        optimizer.step()
    return values


def test_the_cross_modality_loss_lets_the_audio_rule_the_mouth() -> None:
    """Without it an expression tells all there is, and the mouth is that of another's speech."""
    batch = speech(32, 4, seed=1000, loudness=0.2)
    own, foreign = batch.curves, batch.curves.roll(1, 0)
    errors = {}
    for crossed in (True, False):
        rival = make()
        values = learn(rival, crossed=crossed)
        rival.eval()
        with torch.no_grad():
            made = swapped_mouth(rival, batch)
        errors[crossed] = [
            (made - clip)[..., part].abs().mean().item()
            for part in (slice(2), slice(2, None))
            for clip in (own, foreign)
        ]
        if crossed:
            assert np.mean(values[-10:]) < 0.5 * np.mean(values[:10])
    mouth_of_audio, mouth_of_expression, upper_of_audio, upper_of_expression = errors[True]
    assert mouth_of_audio < 0.15 and mouth_of_expression > 0.4
    assert upper_of_expression < upper_of_audio - 0.1
    mouth_of_audio, mouth_of_expression, *_ = errors[False]
    assert mouth_of_expression < 0.45 < mouth_of_audio


def test_each_half_of_a_crossed_clip_is_asked_of_its_own_modality() -> None:
    """With the targets exchanged, the lips would learn to follow a stranger's face."""
    asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def listening(curves: Tensor, target: Tensor, inside: Tensor) -> Tensor:
        asked.append((curves - target, target, inside))
        return distance(curves, target, inside)

    rival, batch = make(), speech()
    batch.inside[1, 5:] = False
    rival.curve_loss = listening
    rival.losses(batch, 0)
    of_audio, of_expression, own, eyelids = asked
    shift = next(n for n in (1, 2, 3) if torch.equal(of_expression[1], batch.curves.roll(-n, 0)))
    for error, target, _ in (of_audio, own, eyelids):
        assert torch.equal(target, batch.curves)
        assert error.any()
    assert not of_audio[0][..., 2:].any() and of_audio[0][..., :2].all()
    assert not of_expression[0][..., :2].any() and of_expression[0][..., 2:].all()
    assert own[0].all()
    assert not eyelids[0][..., :3].any() and eyelids[0][..., 3].all()
    assert torch.equal(own[2], batch.inside) and torch.equal(eyelids[2], batch.inside)
    both = batch.inside & batch.inside.roll(-shift, 0)
    assert torch.equal(of_audio[2], both) and torch.equal(of_expression[2], both)


def test_foreign_modalities_get_gradients_of_the_half_that_they_answer_for() -> None:
    """The audio encoder is trained by the mouth of a crossed clip, whatever face it came with."""
    rival = make().eval()
    soft = rival.logits(
        heard := torch.randn(1, 3, 16, requires_grad=True),
        shown := torch.randn(1, 3, 16, requires_grad=True),
    )
    curves = rival.decode(soft.softmax(-1))
    target = torch.zeros_like(curves)
    inside = torch.ones(1, 3, dtype=torch.bool)
    loss = rival._loss_of(rival.mouth, curves, target, inside)
    (gradient,) = torch.autograd.grad(loss, curves, retain_graph=True)
    assert not gradient[..., 2:].any() and gradient[..., :2].all()
    assert all(part.any() for part in torch.autograd.grad(loss, [heard, shown]))


def test_latents_are_categorical_and_still_have_gradients() -> None:
    """Soft latents could hold the whole curve, and no prior over classes could write them."""
    rival = make()
    logits = torch.randn(2, 3, N_HEADS, N_CLASSES, requires_grad=True)
    latents = rival.latents(logits)
    assert torch.allclose(latents.sum(-1), torch.ones(2, 3, N_HEADS))
    assert torch.allclose(latents.amax(-1), torch.ones(2, 3, N_HEADS), atol=1e-6)
    (gradient,) = torch.autograd.grad(latents[..., 0].sum(), logits)
    assert gradient.any()
    drawn = {tuple(rival.latents(logits).argmax(-1).flatten().tolist()) for _ in range(3)}
    assert len(drawn) == 3
    rival.eval()
    assert torch.equal(rival.latents(logits).argmax(-1), logits.argmax(-1))


def test_the_prior_sees_earlier_frames_and_earlier_heads_alone() -> None:
    """A prior that sees its own answer learns to copy, and writes noise when it must write."""
    torch.manual_seed(0)
    prior = CodePrior(3, 5, 8)
    heard, codes = torch.randn(1, 20, 8), torch.randint(5, (1, 20, 3))
    before = prior(heard, codes)
    codes[0, 2, 1] = (codes[0, 2, 1] + 1) % 5
    changed = (prior(heard, codes) - before).abs().amax(-1)[0] > 1e-6  # (T, H)
    assert not changed[:2].any()
    assert changed[2].tolist() == [False, False, True]
    assert changed[3:19].all(), "sixteen frames are remembered"
    assert not changed[19:].any()


@pytest.mark.parametrize("n_frames", [1, 3, 21])
def test_codes_written_one_by_one_are_those_of_the_prior_in_one_pass(n_frames: int) -> None:
    """What is kept of the past must be what the layers would have seen in training."""
    torch.manual_seed(0)
    prior = CodePrior(3, 5, 8)
    heard = 3 * torch.randn(2, n_frames, 8)
    codes = prior.write(heard, 0.0)
    assert torch.equal(prior(heard, codes).argmax(-1), codes)


def test_drawn_codes_are_as_frequent_as_the_prior_says() -> None:
    """A temperature that was applied twice, or not, would show in no single animation."""
    torch.manual_seed(0)
    prior = CodePrior(1, 3, 4)
    heard = torch.randn(1, 1, 4).expand(4000, -1, -1)
    logits = prior(heard[:1], torch.zeros(1, 1, 1, dtype=torch.long))[0, 0, 0]
    for temperature in (1.0, 0.5):
        share = prior.write(heard, temperature).flatten().bincount(minlength=3) / 4000
        assert torch.allclose(share, (logits / temperature).softmax(-1), atol=0.03)


def test_the_second_stage_trains_the_prior_alone_by_cross_entropy() -> None:
    """If it moved the latents, the codes that it learns would change their meaning under it."""
    rival, batch = make(), speech()
    first, second = rival.begin_stage(0), rival.begin_stage(1)
    assert {id(weight) for weight in first}.isdisjoint(id(weight) for weight in second)
    assert len(first) + len(second) == len(list(rival.parameters()))
    batch.inside[0, 4:] = False
    terms = rival.losses(batch, 1)
    assert list(terms) == ["prior"]
    torch.autograd.backward(terms["prior"])
    assert all(weight.grad is None for weight in first)
    assert all(weight.grad is not None for weight in second)
    heard = rival.prior_audio(batch.features, batch.condition, batch.inside)
    codes = rival.codes(batch)
    logs = rival.prior(heard, codes).log_softmax(-1).gather(-1, codes[..., None])[batch.inside]
    assert terms["prior"].item() == pytest.approx(-logs.mean().item(), rel=1e-5)


def test_the_same_speech_is_animated_differently_each_time_unless_greedily() -> None:
    """It is published as a model of many faces for one voice; energy scores rest on it."""
    rival, batch = make().eval(), speech()
    spoken = batch.features, batch.condition, batch.inside
    assert rival.samples
    first, second = rival.generate(*spoken), rival.generate(*spoken)
    assert first.shape == batch.curves.shape and not torch.equal(first, second)
    assert first.min() >= 0 and first.max() <= 1
    rival.temperature = 0.0
    assert torch.equal(rival.generate(*spoken), rival.generate(*spoken))


def test_padding_is_not_heard() -> None:
    """Else an utterance is animated otherwise beside a longer one."""
    rival = make(temperature=0.0).eval()
    batch = speech(2, 12)
    batch.inside[0, 7:] = False
    together = rival.generate(batch.features, batch.condition, batch.inside)
    alone = rival.generate(batch.features[:1, :7], batch.condition[:1], batch.inside[:1, :7])
    assert torch.allclose(together[:1, :7], alone, atol=1e-6)


def test_a_condition_is_seen_where_it_is_given() -> None:
    """In the row of all conditions it must not animate every emotion alike."""
    rival = make(condition_dim=2)
    batch = speech(2)
    heard = [
        encoder(batch.features[:1], torch.eye(2)[row : row + 1], batch.inside[:1])
        for encoder in (rival.audio, rival.prior_audio)
        for row in (0, 1)
    ]
    assert not torch.equal(heard[0], heard[1]) and not torch.equal(heard[2], heard[3])
    assert MeshTalk.sees == ()


def test_a_single_utterance_is_its_own_stranger() -> None:
    """The last minibatch of an epoch may hold one."""
    terms = make().losses(speech(1), 0)
    assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize("name", ["mouth", "eyelids"])
def test_it_refuses_not_to_know_the_mouth(name: str) -> None:
    """With no curve in a region its loss would be 0 and say nothing."""
    masks = {"mouth": MOUTH, "eyelids": EYELIDS} | {name: None}
    sizes = RivalSizes(N_FEATURES, 0, np.zeros(N_CURVES, np.float32), 2, 16, **masks)
    with pytest.raises(InputError, match=re.escape(f"`sizes.{name}` must be told to MeshTalk")):
        MeshTalk(sizes, distance)


def test_it_refuses_a_negative_temperature() -> None:
    """It would draw the unlikeliest codes."""
    with pytest.raises(InputError, match=re.escape("`temperature` must be at least 0, got -1")):
        make(temperature=-1)


@pytest.mark.parametrize("condition_dim", [0, 21])
def test_it_is_as_large_as_ours_within_a_factor_of_two(condition_dim: int) -> None:
    """A smaller rival is easily beaten."""
    masks = {"mouth": np.arange(52) < 31, "eyelids": np.arange(52) > 50}
    sizes = RivalSizes(99, condition_dim, np.zeros(52, np.float32), 9, **masks)
    n_parameters = sum(weight.numel() for weight in MeshTalk(sizes, distance).parameters())
    assert OUR_PARAMETERS / 2 < n_parameters < 2 * OUR_PARAMETERS

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.baselines.rivals.base import SPEAKER, RivalBatch, RivalSizes
from agents.baselines.rivals.codetalker import CodeTalker
from agents.baselines.rivals.motion_codes import N_CODES, N_TOKENS, TOKEN_DIM, MotionCodes

N_FEATURES, N_CURVES = 6, 4
OUR_PARAMETERS = 1_344_849 + 1_119_547  # policy and speech encoder of a run of demo size
Spoken = tuple[Tensor, Tensor, Tensor]


def distance(curves: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    return (curves - target)[inside].abs().mean()


def make(condition_dim: int = 3) -> CodeTalker:
    torch.manual_seed(0)
    pose = np.full(N_CURVES, 0.5, dtype=np.float32)
    rival = CodeTalker(
        RivalSizes(N_FEATURES, condition_dim, pose, n_emotions=2, width=16), distance
    )
    with torch.no_grad():  # an untrained codebook lies so close together that all motion is one
        rival.motion.codebook.copy_(torch.randn(N_CODES, TOKEN_DIM))
    return rival.eval()


def speech(n_rows: int = 3, n_frames: int = 40, condition_dim: int = 3) -> RivalBatch:
    random = torch.Generator().manual_seed(1)
    inside = torch.ones(n_rows, n_frames, dtype=torch.bool)
    inside[0, n_frames // 2 :] = False
    return RivalBatch(
        features=torch.randn(n_rows, n_frames, N_FEATURES, generator=random),
        curves=torch.rand(n_rows, n_frames, N_CURVES, generator=random),
        condition=torch.eye(condition_dim)[torch.arange(n_rows) % max(condition_dim, 1)]
        if condition_dim
        else torch.zeros(n_rows, 0),
        inside=inside,
        emotions=torch.zeros(n_rows, dtype=torch.long),
    )


def spoken(batch: RivalBatch) -> Spoken:
    return batch.features, batch.condition, batch.inside


def moved(after: Tensor, before: Tensor) -> list[bool]:
    """Return which frames of (1, T, N) differ."""
    return ((after - before).abs().amax(-1)[0] > 1e-6).tolist()


def test_what_it_shows_are_entries_of_the_codebook_decoded() -> None:
    """A latent that is not snapped can be any mean of motions: what discrete codes are against."""
    rival, batch = make(), speech()
    codes = rival.write(*spoken(batch))
    assert codes.shape == (3, 40, N_TOKENS) and len(codes.unique()) > 8
    entries = rival.motion.codebook[codes].flatten(2)
    shown = (rival.motion.decode(entries, batch.inside) + 0.5).clamp(0, 1)
    assert torch.equal(rival.generate(*spoken(batch)), shown)
    assert not rival.samples


def test_snapping_takes_the_nearest_entry_and_lets_gradients_through() -> None:
    """The regression learns from the motion through the frozen decoder, across the snap."""
    torch.manual_seed(0)
    motion = MotionCodes(N_CURVES, 16)
    latents = (0.01 * torch.randn(2, 5, N_TOKENS * TOKEN_DIM)).requires_grad_()
    inside = torch.ones(2, 5, dtype=torch.bool)
    inside[1, 2:] = False
    snapped = motion.snap(latents, inside)
    tokens = latents.view(2, 5, N_TOKENS, TOKEN_DIM)
    apart = torch.cdist(tokens.flatten(0, 2)[None], motion.codebook[None])[0]
    assert torch.equal(snapped.codes.flatten(), apart.argmin(-1))
    entries = motion.entries(snapped.codes).flatten(2)
    assert torch.allclose(snapped.latents, entries, atol=1e-7)
    (straight,) = torch.autograd.grad(snapped.latents.sum(), latents, retain_graph=True)
    assert torch.equal(straight, torch.ones_like(straight))
    gap = (entries - latents).square()[inside].mean()
    assert snapped.loss.item() == pytest.approx(1.25 * gap.item(), rel=1e-4)
    to_latents, to_book = torch.autograd.grad(snapped.loss, [latents, motion.codebook])
    n = inside.sum() * N_TOKENS * TOKEN_DIM
    pull = 0.25 * 2 * (latents - entries) / n * inside[..., None]
    assert torch.allclose(to_latents, pull, atol=1e-8), "a quarter of the pull is the latents'"
    assert to_book.any()


def test_the_first_stage_trains_the_codes_and_the_second_all_but_them() -> None:
    """With codes that still move, the regression aims at what is no longer there."""
    rival, batch = make(), speech()
    rival.train()
    first, second = rival.begin_stage(0), rival.begin_stage(1)
    assert {id(weight) for weight in first} == {id(weight) for weight in rival.motion.parameters()}
    assert len(first) + len(second) == len(list(rival.parameters()))
    rival.requires_grad_(False)
    for weight in second:
        weight.requires_grad_(True)
    before = [weight.clone() for weight in first]
    optimizer = torch.optim.AdamW(second, lr=1e-3)
    torch.autograd.backward(torch.stack(list(rival.losses(batch, 1).values())).sum())
    optimizer.step()
    assert all(weight.grad is not None and weight.grad.any() for weight in second)
    assert all(torch.equal(*pair) for pair in zip(before, first, strict=True))


def test_the_first_stage_hears_nothing() -> None:
    """It is a prior of motion: what it knows of audio, it could not say of other audio."""
    rival, batch = make(), speech()
    terms = rival.losses(batch, 0)
    assert list(terms) == ["reconstruction", "quantisation"]
    deaf = rival.losses(
        batch._replace(features=batch.features + 1, condition=batch.condition * 0), 0
    )
    assert all(torch.equal(terms[name], deaf[name]) for name in terms)


def test_the_second_stage_is_regression_without_cross_entropy() -> None:
    """Latents at the recorded codes cost nothing more than the codes themselves do."""
    rival, batch = make(), speech()
    assert list(rival.losses(batch, 1)) == ["motion", "latents"]
    motion = batch.curves - rival.mean_pose
    recorded = rival.motion.snap(rival.motion.encode(motion, batch.inside), batch.inside).latents
    rival.regress = lambda *_: recorded + 1e-3  # type: ignore[method-assign]
    terms = rival.losses(batch, 1)
    assert terms["latents"].item() == pytest.approx(1e-6, rel=1e-2)
    best = rival.losses(batch, 0)["reconstruction"].item()
    assert terms["motion"].item() == pytest.approx(best, rel=1e-4)


def test_a_frame_is_regressed_from_frames_before_it_alone() -> None:
    """A frame that sees itself is copied in training, and not there when it is to be written."""
    rival, batch = make(), speech()
    audio = rival.hear(batch.features, batch.inside)[1:2]
    past = torch.randn(1, 39, N_TOKENS * TOKEN_DIM)
    before = rival.regress(audio, batch.condition[1:2], past)
    past[0, 5] += 1
    after = rival.regress(audio, batch.condition[1:2], past)
    assert moved(after, before) == [False] * 6 + [True] * 34


def test_a_frame_hears_the_audio_of_its_own_moment() -> None:
    """Alignment is given by a mask; attention over all audio would have to learn it."""
    rival, batch = make(), speech()
    audio = rival.hear(batch.features, batch.inside)[1:2].detach()
    past = torch.randn(1, 39, N_TOKENS * TOKEN_DIM)
    other = audio.clone()
    other[0, 7] += 1
    changed = moved(*(rival.regress(heard, batch.condition[1:2], past) for heard in (other, audio)))
    # The second layer attends to what the first heard before.
    assert changed == [False] * 7 + [True] * 33
    del rival.layers[1:]
    changed = moved(*(rival.regress(heard, batch.condition[1:2], past) for heard in (other, audio)))
    assert changed == [frame == 7 for frame in range(40)]


def test_what_is_generated_is_what_is_trained() -> None:
    """Frame by frame from keys that were kept, or in one pass from its own output: the same."""
    rival, batch = make(), speech()
    codes = rival.write(*spoken(batch))
    latents = rival.motion.entries(codes).flatten(2)
    audio = rival.hear(batch.features, batch.inside)
    forced = rival.regress(audio, batch.condition, latents[:, :-1])
    agree = (rival.motion.nearest(forced) == codes).float().mean()
    assert agree == 1


def test_padding_is_neither_heard_nor_decoded() -> None:
    """Else an utterance is animated otherwise beside a longer one."""
    rival, batch = make(), speech()
    together = rival.generate(*spoken(batch))
    alone = rival.generate(batch.features[:1, :20], batch.condition[:1], batch.inside[:1, :20])
    assert torch.allclose(together[:1, :20], alone, atol=1e-5)


def test_the_speaker_is_its_style_and_none_is_needed() -> None:
    """Its paper tells it the speaker; in other rows it may be told more, or nothing."""
    assert CodeTalker.sees == (SPEAKER,)
    rival, batch = make(), speech()
    others = batch.condition.roll(1, 0)
    assert not torch.equal(
        rival.write(*spoken(batch)), rival.write(batch.features, others, batch.inside)
    )
    blind = make(condition_dim=0)
    batch = speech(condition_dim=0)
    assert blind.generate(*spoken(batch)).shape == batch.curves.shape
    assert all(torch.isfinite(term) for term in blind.losses(batch, 1).values())


@pytest.mark.parametrize("n_frames", [1, 2])
def test_the_shortest_utterances_are_animated(n_frames: int) -> None:
    """A frame has no frame before it, and half a step of the audio stack."""
    rival, batch = make(), speech(n_frames=n_frames)
    batch = batch._replace(inside=torch.ones(3, n_frames, dtype=torch.bool))
    assert rival.generate(*spoken(batch)).shape == batch.curves.shape
    assert all(torch.isfinite(term) for term in rival.losses(batch, 1).values())


def test_a_little_training_brings_motion_into_codes() -> None:
    """Codes that collapse to a few give one face for all speech."""
    rival = make()
    rival.train()
    with torch.no_grad():
        rival.motion.codebook.copy_(MotionCodes(N_CURVES, 16).codebook)
    batch = speech()
    batch = batch._replace(curves=(batch.features[..., :N_CURVES] > 0).float())
    optimizer = torch.optim.AdamW(rival.begin_stage(0), lr=5e-3)
    values = []
    for _ in range(60):
        terms = rival.losses(batch, 0)
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        optimizer.step()
        values.append(terms["reconstruction"].item())
    assert values[-1] < 0.5 * values[0]
    motion = batch.curves - rival.mean_pose
    codes = rival.motion.nearest(rival.motion.encode(motion, batch.inside))
    assert len(codes.unique()) > 10


@pytest.mark.parametrize("condition_dim", [0, 21])
def test_it_is_as_large_as_ours_within_a_factor_of_two(condition_dim: int) -> None:
    """A smaller rival is easily beaten."""
    rival = CodeTalker(RivalSizes(99, condition_dim, np.zeros(52, np.float32), 9), distance)
    n_parameters = sum(weight.numel() for weight in rival.parameters())
    assert OUR_PARAMETERS / 2 < n_parameters < 2 * OUR_PARAMETERS

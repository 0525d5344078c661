"""FaceFormer: biased causal attention, aligned audio, autoregression, and the speaker alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from agents.baselines.rivals import Rival, RivalBatch
from agents.baselines.rivals.faceformer import N_PASSES, FaceFormer

MakeRival = Callable[..., Rival]


@pytest.fixture
def faceformer(make_rival: MakeRival) -> FaceFormer:
    """Return an untrained one that does not stand still."""
    rival = make_rival("faceformer")
    assert isinstance(rival, FaceFormer)
    return rival


def test_a_frame_sees_the_audio_of_its_own_time_alone(faceformer: FaceFormer) -> None:
    """The alignment mask: with free attention to the audio, other frames would change at once."""
    torch.manual_seed(0)
    audio, before = torch.randn(1, 8, 16), torch.rand(1, 7, 52)
    condition = torch.zeros(1, 7)
    changed = audio.clone()
    changed[0, 5] += 1
    differs = faceformer.decode(audio, condition, before) != faceformer.decode(
        changed, condition, before
    )
    assert differs.any(-1)[0].tolist() == [False] * 5 + [True, False, False]


def test_a_frame_sees_the_frames_before_it_alone(faceformer: FaceFormer) -> None:
    """The causal mask: what is regressed from its own future cannot be generated."""
    torch.manual_seed(0)
    audio, before, condition = torch.randn(1, 8, 16), torch.rand(1, 7, 52), torch.zeros(1, 7)
    changed = before.clone()
    changed[0, 3] = 1 - changed[0, 3]
    differs = faceformer.decode(audio, condition, before) != faceformer.decode(
        audio, condition, changed
    )
    assert differs.any(-1)[0].tolist() == [False] * 4 + [True] * 4


def test_generation_is_what_training_computes_from_the_frames_it_wrote(
    faceformer: FaceFormer, rival_batch: RivalBatch
) -> None:
    """Keys that are kept, biases and codes must be those of the parallel pass."""
    features, condition, inside = rival_batch.features, rival_batch.condition, rival_batch.inside
    written = faceformer.generate(features, condition, inside)
    audio = faceformer.hear(features, inside)
    again = faceformer.decode(audio, condition, written[:, :-1]).clamp(0, 1)
    assert written.std(dim=1).mean() > 1e-3
    torch.testing.assert_close(again, written, rtol=1e-4, atol=1e-5)


def test_training_never_reads_a_recorded_frame_and_approaches_the_roll_out(
    faceformer: FaceFormer, rival_batch: RivalBatch
) -> None:
    """After n passes the first n frames are generated ones; recorded ones are targets alone."""
    seen = list[torch.Tensor]()
    decode = faceformer.decode

    def spy(audio: torch.Tensor, condition: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        seen.append(decode(audio, condition, before))
        return seen[-1]

    faceformer.decode = spy  # type: ignore[method-assign]
    faceformer.losses(rival_batch, 0)
    first = [curves.clone() for curves in seen]
    faceformer.losses(rival_batch._replace(curves=1 - rival_batch.curves), 0)
    assert all(torch.equal(a, b) for a, b in zip(first, seen[N_PASSES:], strict=True))
    written = faceformer.generate(rival_batch.features, rival_batch.condition, rival_batch.inside)
    last = first[-1].clamp(0, 1)
    torch.testing.assert_close(last[:, :N_PASSES], written[:, :N_PASSES], rtol=1e-4, atol=1e-5)


def test_it_begins_as_the_mean_pose(make_rival: MakeRival, rival_batch: RivalBatch) -> None:
    """A zero output layer: training starts from the face that is right on average."""
    rival = make_rival("faceformer")
    torch.nn.init.zeros_(rival.get_submodule("to_curves").weight)  # type: ignore[arg-type]
    curves = rival.generate(rival_batch.features, rival_batch.condition, rival_batch.inside)
    torch.testing.assert_close(curves, rival.mean_pose.expand_as(curves))

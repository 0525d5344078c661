"""Two loops write the same: one that slices by number, and one that a GPU can replay."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from agents.network.acceleration import TOLERANCES, Acceleration
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from agents.rollout.decoding import Decoding
from agents.rollout.generation import Generation, GenerationInputs, write


@pytest.fixture
def inputs(task: SequenceTask) -> GenerationInputs:
    """Return what four sequences of six tokens are written from."""
    utterances = np.arange(8, 12)
    noise = np.random.default_rng(0).random((3, 4, 6), dtype=np.float32)
    return GenerationInputs(
        windows=torch.from_numpy(task.audio_windows(utterances)),
        condition=torch.from_numpy(task.condition_of(utterances)),
        noise=torch.from_numpy(noise),
    )


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(0.7), Decoding(1.0, epsilon=0.5)])
def test_the_replayable_step_writes_what_the_plain_loop_writes(
    model: MotionTransformer, inputs: GenerationInputs, decoding: Decoding
) -> None:
    """On a GPU the step counts for itself: an index off by one writes another policy's tokens."""
    plain = Generation(model, inputs, decoding)
    counting = Generation(model, inputs, decoding)
    with torch.inference_mode():
        plain.run()
        for t in (2, 0, 1, 2, 3, 4, 5):  # the first stands for a step that only warmed up
            counting.step_at(torch.tensor([t]))
    assert torch.equal(counting.tokens, plain.tokens)
    torch.testing.assert_close(counting.logits, plain.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(counting.hidden, plain.hidden, atol=1e-5, rtol=0)


def test_half_precision_stays_within_the_stated_tolerance(
    model: MotionTransformer, inputs: GenerationInputs
) -> None:
    """Rounding is the price of bfloat16; more than that is a mistake."""
    exact = Generation(model, inputs, Decoding())
    rough = Generation(model, inputs, Decoding(), bf16=True)
    with torch.inference_mode():
        exact.run()
        rough.step_at(torch.tensor([0]))
    assert rough.logits.dtype == torch.bfloat16
    chances = [generation.logits[0].float().log_softmax(-1) for generation in (rough, exact)]
    torch.testing.assert_close(*chances, atol=TOLERANCES["bf16"], rtol=0)
    assert not torch.equal(*chances)


def test_cuda_graphs_are_refused_elsewhere(
    model: MotionTransformer, inputs: GenerationInputs
) -> None:
    """Without a check torch fails deep inside with a word about streams."""
    rule = "`cuda_graphs` must be False on 'cpu', got True; use `device='cuda'`"
    with pytest.raises(ValueError, match=re.escape(rule)):
        write(model, inputs, Decoding(), acceleration=Acceleration(cuda_graphs=True))


def test_the_tolerance_is_that_of_the_roughest_option() -> None:
    """Nothing traded for speed is held to the tightest."""
    assert Acceleration().tolerance == 1e-5
    assert Acceleration(compile=True, cuda_graphs=True).tolerance == 1e-4
    assert Acceleration(bf16=True, compile=True).tolerance == 0.1

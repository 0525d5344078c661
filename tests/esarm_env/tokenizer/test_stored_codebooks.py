"""Codebooks that are only read: the library's numbers, without waiting for the library."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from esarm_env.core.types import FloatArray
from esarm_env.tokenizer import VQMotionTokenizer, load_tokenizer


@pytest.fixture(params=[1, 4])
def pair(
    request: pytest.FixtureRequest, tiny_tokenizer: VQMotionTokenizer, tmp_path: Path
) -> tuple[VQMotionTokenizer, VQMotionTokenizer]:
    """Return a tokenizer of the library's quantisers, and the same read from a file."""
    from dataclasses import replace

    own = VQMotionTokenizer(replace(tiny_tokenizer.shape, search_width=request.param)).eval()
    own.load_state_dict(tiny_tokenizer.state_dict())
    own.save(tmp_path / "tokenizer.safetensors")
    return own, load_tokenizer(tmp_path / "tokenizer.safetensors")


def test_a_tokenizer_from_a_file_encodes_and_decodes_alike(
    pair: tuple[VQMotionTokenizer, VQMotionTokenizer], tiny_motions: list[FloatArray]
) -> None:
    """Another code for a recording, and a clone learns other tokens than it is measured with."""
    own, read = pair
    for motion in tiny_motions[:3]:
        tokens = own.encode(motion)
        assert np.array_equal(read.encode(motion), tokens)
        assert np.array_equal(read.decode(tokens), own.decode(tokens))
    assert np.array_equal(read.codebooks(), own.codebooks())
    assert read.content_hash() == own.content_hash()
    assert list(read.state_dict()) == list(own.state_dict())


def test_what_was_read_learns_no_further(
    pair: tuple[VQMotionTokenizer, VQMotionTokenizer],
) -> None:
    """Its codes would move in a copy that nobody saves."""
    _, read = pair
    with pytest.raises(RuntimeError, match=re.escape("a tokenizer read from a file must be in")):
        read.train().reconstruct(torch.zeros(1, 8, 52))


def test_reading_a_run_loads_no_compiler() -> None:
    """The library brings torch's compiler and sympy: longer to import than torch itself.

    So do torch's initialisers of weights that have no memory.
    """
    code = (
        "import sys; from esarm_env.core.shipped import shipped_run; "
        "from esarm_env.tokenizer import load_tokenizer; "
        "load_tokenizer(shipped_run() / 'prior' / 'tokenizer.safetensors'); "
        "from agents import load_policy; load_policy(); "
        "heavy = {'vector_quantize_pytorch', 'einx', 'sympy', 'torch._dynamo', 'librosa'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

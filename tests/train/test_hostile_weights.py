"""Weights from strangers: every reader refuses what contradicts itself, and builds nothing."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.weights import load_policy, save_policy
from esarm_env.core.errors import InputError
from esarm_env.core.weights import from_sizes
from esarm_env.tokenizer.vq import TokenizerShape, VQMotionTokenizer, load_tokenizer
from reward.consensus.network import ConsensusModel, load_consensus
from reward.consensus.settings import ConsensusConfig
from reward.ranking.network import RewardTransformer, load_reward
from reward.ranking.settings import RewardConfig
from train.assets.builder import halve

_Reader = Callable[[Path], object]


def _policy(path: Path) -> None:
    config = PolicyConfig(5, 2, 6, 3, n_layers=1, n_heads=2, width=8)
    save_policy(MotionTransformer(config), path)


def _tokenizer(path: Path) -> None:
    VQMotionTokenizer(TokenizerShape(n_tokens=4, hidden=4, code_dim=4)).save(path)


def _consensus(path: Path) -> None:
    config = ConsensusConfig(n_layers=1, n_heads=2, width=8, hidden=8, imagined=2, rank=3)
    ConsensusModel(config, audio_dim=6, condition_dim=3, frames=2).save(path)


def _reward(path: Path) -> None:
    config = RewardConfig(n_layers=1, n_heads=2, width=8)
    RewardTransformer(config, audio_dim=6, motion_dim=4).save(path)


_KINDS: dict[str, tuple[Callable[[Path], None], _Reader]] = {
    "policy": (_policy, load_policy),
    "motion tokenizer": (_tokenizer, load_tokenizer),
    "consensus reward model": (_consensus, load_consensus),
    "reward model": (_reward, load_reward),
}
# The place of its sizes in the note, one that the tensors have, and one that they do not show.
_PLACES = {
    "policy": ([], "width", "n_heads"),
    "motion tokenizer": ([], "hidden", "frames_per_chunk"),
    "consensus reward model": (["config"], "width", "n_heads"),
    "reward model": (["config"], "width", "n_heads"),
}
each_kind = pytest.mark.parametrize("kind", _KINDS)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["esarm"]), {n: file.get_tensor(n) for n in file.keys()}


def _refused(path: Path, kind: str, got: str = "") -> None:
    """Check that reading ends in one line that names file, kind and remedy."""
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a whole {kind} fi")) as caught:
        _KINDS[kind][1](path)
    message = str(caught.value)
    assert got in message
    assert message.endswith("; delete the stage and run it again")
    assert "\n" not in message


@each_kind
def test_a_file_is_read_back_whole(kind: str, tmp_path: Path) -> None:
    """What is refused below must not be refused for another reason."""
    path = tmp_path / "a.safetensors"
    _KINDS[kind][0](path)
    model = _KINDS[kind][1](path)
    assert isinstance(model, torch.nn.Module)
    assert {n: tuple(t.shape) for n, t in model.state_dict().items()} == {
        n: tuple(t.shape) for n, t in _read(path)[1].items()
    }


@each_kind
@pytest.mark.parametrize("value", [10**9, 10**6, 10**30, 0, -8, 8.0, "8", None, True, [8], {}])
@pytest.mark.parametrize("shown", [True, False])
def test_a_size_that_the_weights_do_not_have_is_refused(
    kind: str, tmp_path: Path, value: Any, shown: bool
) -> None:
    """A million blocks were built one by one before the first weight was compared."""
    path = tmp_path / "a.safetensors"
    _KINDS[kind][0](path)
    note, tensors = _read(path)
    place, in_tensors, hidden = _PLACES[kind]
    owner = note
    for step in place:
        owner = owner[step]
    owner[in_tensors if shown else hidden] = value
    safetensors.torch.save_file(tensors, path, {"esarm": json.dumps(note)})
    _refused(path, kind)


@each_kind
@pytest.mark.parametrize("n_layers", [10**6, 10**9, 10**18])
def test_a_million_layers_are_refused_at_the_first_too_many(
    kind: str, tmp_path: Path, n_layers: int
) -> None:
    """The tokenizer's are codebooks."""
    path = tmp_path / "a.safetensors"
    _KINDS[kind][0](path)
    note, tensors = _read(path)
    owner = note.get("config", note)
    owner["codebooks_per_stream" if kind == "motion tokenizer" else "n_layers"] = n_layers
    safetensors.torch.save_file(tensors, path, {"esarm": json.dumps(note)})
    _refused(path, kind, "sizes of a larger network than it has weights for")


def test_a_refused_file_leaves_gradients_switched_on(tmp_path: Path) -> None:
    """Initialisers switch them off and on: stopped in between, no training worked any more.

    Where the bound stops them depends on the number of tensors in the file.
    """
    path = tmp_path / "a.safetensors"
    _policy(path)
    note, tensors = _read(path)
    note["n_layers"] = 10**6
    for number in range(8):
        tensors[f"more.{number}"] = torch.zeros(1)
        safetensors.torch.save_file(tensors, path, {"esarm": json.dumps(note)})
        _refused(path, "policy")
        assert torch.is_grad_enabled(), number


@each_kind
def test_weights_must_be_numbers_of_their_kind(kind: str, tmp_path: Path) -> None:
    """One NaN spreads over every score, and an imaginary part was dropped with a warning."""
    path = tmp_path / "a.safetensors"
    _KINDS[kind][0](path)
    note, tensors = _read(path)
    metadata = {"esarm": json.dumps(note)}
    name = next(n for n, t in tensors.items() if t.is_floating_point() and t.ndim == 2)
    damages = {
        f"`{name}` with NaN or infinity": tensors[name] * torch.nan,
        f"`{name}` as torch.int64": tensors[name].long(),
        f"`{name}` as torch.complex64": tensors[name].to(torch.complex64),
        "Error(s) in loading state_dict": tensors[name][:0],
    }
    for got, damaged in damages.items():
        safetensors.torch.save_file({**tensors, name: damaged.contiguous()}, path, metadata)
        _refused(path, kind, got)
    large = {**tensors, name: tensors[name].double() + 1e300}
    safetensors.torch.save_file(large, path, metadata)
    _refused(path, kind, f"`{name}` with NaN or infinity")
    safetensors.torch.save_file({**tensors, "extra": torch.ones(1)}, path, metadata)
    _refused(path, kind, "Error(s) in loading state_dict")


def _container(header: object, body: bytes = bytes(8), *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def _tensor(*shape: int, kind: str = "F32", offsets: tuple[int, int] = (0, 8)) -> dict[str, Any]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


@each_kind
@pytest.mark.parametrize(
    "content",
    [
        _container({}, length=2**63 - 1),
        _container({}, length=2**64 - 1),
        _container({"a": _tensor(2, offsets=(-8, 0))}),
        _container({"a": _tensor(2, offsets=(8, 0))}),
        _container({"a": _tensor(2, offsets=(0, 2**60))}),
        _container({"a": _tensor(2), "b": _tensor(2)}),
        _container({"a": _tensor(2, offsets=(4, 12))}, bytes(12)),
        _container({"a": _tensor(2**31, 2**31, 2**31)}),
        _container({"a": _tensor(2**62, 4, offsets=(0, 0))}, b""),
        _container({"a": _tensor(0, 2**62, 2**62, offsets=(0, 0))}, b""),
        _container({"a": _tensor(-2)}),
        _container({"a": _tensor(2, kind="F99")}),
        _container({"a": _tensor(8, kind="F8_E8M0")}),
        _container({"a": 7}),
        _container({"__metadata__": 7}),
        _container({"__metadata__": {"esarm": 7}}),
        _container({"__metadata__": {"esarm": "[" * 50_000}}, b""),
        _container({"__metadata__": {"esarm": '{"kind": ' + "9" * 5000 + "}"}}, b""),
        _container(b"[" * 50_000),
        _container(b"\xff\xfe{}"),
        b"",
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_a_container_that_contradicts_itself_is_refused(
    kind: str, tmp_path: Path, content: bytes
) -> None:
    """Header beyond the file, offsets that overlap, products that overflow, kinds of no numbers."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    _refused(path, kind)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a whole file of weights")):
        halve(path, tmp_path / "b.safetensors")


@each_kind
def test_every_cut_and_changed_byte_is_refused_or_read(kind: str, tmp_path: Path) -> None:
    """A download that stopped, a disk that turned a bit."""
    path = tmp_path / "a.safetensors"
    _KINDS[kind][0](path)
    whole = path.read_bytes()
    header = struct.unpack("<Q", whole[:8])[0] + 8
    for place in range(0, header, max(1, header // 40)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        try:
            _KINDS[kind][1](path)
        except InputError as error:
            assert "\n" not in str(error)
        path.write_bytes(whole[:place])
        _refused(path, kind)


def test_sizes_are_read_as_their_types() -> None:
    """JSON has no tuples, and a whole number may stand for a fraction."""
    config = ConsensusConfig(strengths=(0.5,), dropout=0.0)
    values = json.loads(json.dumps(asdict(config)))
    assert from_sizes(ConsensusConfig, values | {"dropout": 0}) == config
    for change, rule in (
        ({"width": -1}, "`width` must be a whole number of at least 0, got -1"),
        ({"margin": float("nan")}, "`margin` must be a finite number, got nan"),
        ({"strengths": [0.5, "a"]}, "`strengths` must be a finite number, got 'a'"),
        ({"strengths": 0.5}, "`strengths` must be a "),
        ({"combination": 3}, "`combination` must be a "),
        ({"families": {}}, "`families` must be a "),
    ):
        with pytest.raises(ValueError, match=re.escape(rule)):
            from_sizes(ConsensusConfig, values | change)
    with pytest.raises(ValueError, match="sizes must be a mapping, got a list"):
        from_sizes(ConsensusConfig, [1])

"""Weights on disk: what comes back is what was saved, and nothing else is taken for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from esarm_env.core import weights
from esarm_env.core.errors import InputError
from esarm_env.core.weights import kind_of, load_module, save_weights

SIZES = {"n_inputs": 3, "n_outputs": 2}
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([0.5, -1.5])}


class Tiny(nn.Module):
    """A layer, a buffer and a setting that is no size: all that a module can be rebuilt from."""

    def __init__(self, n_inputs: int, n_outputs: int, *, names: tuple[str, ...] = ()) -> None:
        super().__init__()
        if n_inputs < 1:
            raise ValueError(f"`n_inputs` must be at least 1, got {n_inputs}")
        self.names = tuple(names)
        self.layer = nn.Linear(n_inputs, n_outputs)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def save(self, path: Path, **changed: Any) -> None:
        sizes = {"n_inputs": self.layer.in_features, "n_outputs": self.layer.out_features}
        save_weights(path, self.state_dict(), **({"kind": "tiny"} | sizes | changed))


@pytest.fixture
def tiny() -> Tiny:
    torch.manual_seed(0)
    module = Tiny(**SIZES)
    module.seen += 7
    return module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stage" / "tiny.safetensors"


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    """Runs are compared by the hashes of their files; the order of a dict must not show.

    Ten keys, because the library writes more than one of them in an order of its own.
    """
    sizes = {f"n_{number}": number for number in range(10)}
    contents = set()
    for number in range(6):
        path = tmp_path / f"{number}.safetensors"
        order = slice(None, None, -1 if number % 2 else 1)
        weights = dict(list(TENSORS.items())[order])
        save_weights(path, weights, kind="tiny", **dict(list(sizes.items())[order]))
        contents.add(path.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(
    "change", [{"kind": "other"}, {"sizes": {"n": 2}}, {"weights": {"weight": torch.ones(2, 3)}}]
)
def test_other_input_gives_other_bytes(tmp_path: Path, change: dict[str, Any]) -> None:
    """A hash that misses a change vouches for the wrong file."""
    contents = []
    for changed in ({}, change):
        parts: dict[str, Any] = {"kind": "tiny", "sizes": {"n": 1}, "weights": TENSORS} | changed
        path = tmp_path / f"{len(contents)}.safetensors"
        save_weights(path, parts["weights"], kind=parts["kind"], **parts["sizes"])
        contents.append(path.read_bytes())
    assert contents[0] != contents[1]


def test_a_saved_module_comes_back_equal(tiny: Tiny, path: Path) -> None:
    """Weights, buffers and sizes; in evaluation mode, so that dropout is off."""
    tiny.save(path)
    loaded = load_module(path, Tiny, kind="tiny")
    assert isinstance(loaded, Tiny)
    assert not loaded.training
    assert (loaded.layer.in_features, loaded.layer.out_features) == (3, 2)
    state = loaded.state_dict()
    assert state.keys() == tiny.state_dict().keys()
    for name, value in tiny.state_dict().items():
        assert torch.equal(state[name], value), name
        assert state[name].dtype == value.dtype, name
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "a draft stayed behind"


def test_sizes_reach_the_builder_as_they_were(tiny: Tiny, path: Path) -> None:
    """Strings, lists and nested dicts: a reward model's settings are some of each."""
    given: dict[str, Any] = {}

    def build(**sizes: Any) -> Tiny:
        given.update(sizes)
        return Tiny(**SIZES)

    sizes = {"width": 8, "rate": 0.25, "names": ["a", "b"], "config": {"n": 1, "none": None}}
    save_weights(path, tiny.state_dict(), kind="tiny", **sizes)
    load_module(path, build, kind="tiny")
    assert given == sizes


def _tiny(**sizes: Any) -> Tiny:
    return Tiny(**sizes)


def test_sizes_that_have_passed_are_checked_no_second_time(
    tiny: Tiny, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check is as slow as loading; but other sizes, weights or builders are not known yet."""
    checked: list[int] = []
    monkeypatch.setattr(weights, "_PASSED", set())
    check = weights.check_sizes
    monkeypatch.setattr(
        weights, "check_sizes", lambda *args, **sizes: checked.append(1) or check(*args, **sizes)
    )
    tiny.save(path)
    plain = load_module(path, _tiny, kind="tiny")
    again = load_module(path, _tiny, kind="tiny")
    assert len(checked) == 1
    assert again.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(again.state_dict()[k], v) for k, v in plain.state_dict().items())
    Tiny(4, 2).save(path)
    load_module(path, _tiny, kind="tiny")
    load_module(path, Tiny, kind="tiny")
    load_module(path, lambda **sizes: Tiny(**sizes) if tiny else tiny, kind="tiny")
    assert len(checked) == 4
    save_weights(path, tiny.state_dict(), kind="tiny", n_inputs=10**9, n_outputs=2)
    for _ in range(2):  # what was refused is refused again
        with pytest.raises(InputError, match="sizes of a larger network than it has weights for"):
            load_module(path, _tiny, kind="tiny")
    assert len(checked) == 6


def test_views_are_saved_by_their_values(path: Path) -> None:
    """A transposed weight has its numbers in another order in memory."""
    ramp = torch.arange(6.0).reshape(2, 3)
    save_weights(path, {"weight": ramp.T}, kind="tiny")
    saved = safetensors.torch.load_file(path)["weight"]
    np.testing.assert_array_equal(saved.numpy(), [[0, 3], [1, 4], [2, 5]])


def test_sizes_stand_in_one_entry(tiny: Tiny, path: Path) -> None:
    """Other tools read the file too: the name of the entry and what is in it stay."""
    tiny.save(path)
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"esarm": '{"kind": "tiny", "n_inputs": 3, "n_outputs": 2}'}


def test_a_failed_save_leaves_the_old_file(tiny: Tiny, path: Path) -> None:
    """The only good weights must not be lost to the attempt to replace them."""
    tiny.save(path)
    before = path.read_bytes()
    shared = torch.zeros(3)
    with pytest.raises(RuntimeError, match="share memory"):
        save_weights(path, {"a": shared, "b": shared}, kind="tiny")
    with pytest.raises(TypeError, match="not JSON serializable"):
        tiny.save(path, names={1, 2})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "a draft stayed behind"


def test_a_save_replaces_the_old_file(tiny: Tiny, path: Path) -> None:
    """The second attempt at a stage must be the one that is read."""
    tiny.save(path)
    tiny.seen += 1
    tiny.save(path)
    assert int(load_module(path, Tiny, kind="tiny").seen) == 8


def refuse(path: Path, reason: str, *, kind: str = "tiny") -> None:
    """Check that loading ends in one line: the file, the rule, the reason, the remedy."""
    rule = f"{path}: must be a whole {kind} file, got {reason}"
    with pytest.raises(InputError, match=re.escape(rule)) as caught:
        load_module(path, Tiny, kind=kind)
    message = str(caught.value)
    assert message.startswith(rule), message
    assert message.endswith("; delete the stage and run it again")
    assert "\n" not in message


@pytest.mark.parametrize("kind", ["policy", "Tiny", ""])
def test_another_kind_is_rejected(tiny: Tiny, path: Path, kind: str) -> None:
    """A policy has the same ending as a tokenizer, and might have the same sizes."""
    tiny.save(path)
    refuse(path, "a file of tiny", kind=kind)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"kind": "tiny"}, {"esarm": "{}"}])
def test_files_of_others_are_rejected(path: Path, metadata: dict[str, str] | None) -> None:
    """Safetensors from a hub hold no note of ours; what they are is not for us to guess."""
    path.parent.mkdir()
    safetensors.torch.save_file(TENSORS, path, metadata)
    refuse(path, "a file of something else")


@pytest.mark.parametrize("text", ["", "{", "tiny", "[]", '["tiny"]', '"tiny"', "3", "null"])
def test_a_note_that_is_no_object_is_rejected(path: Path, text: str) -> None:
    """Another tool's entry of our name must not end in a traceback."""
    path.parent.mkdir()
    safetensors.torch.save_file(TENSORS, path, {"esarm": text})
    refuse(path, "")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"n_inputs": 4}, "Error(s) in loading state_dict for Tiny:"),
        ({"n_outputs": 1}, "Error(s) in loading state_dict for Tiny:"),
        ({"n_inputs": 0}, "`n_inputs` must be at least 1, got 0"),
        ({"n_inputs": "3"}, "'<' not supported between instances of 'str' and 'int'"),
        ({"n_layers": 2}, "Tiny.__init__() got an unexpected keyword argument 'n_layers'"),
    ],
)
def test_sizes_that_do_not_fit_are_rejected(
    tiny: Tiny, path: Path, changed: dict[str, Any], reason: str
) -> None:
    """Sizes and weights that disagree must not load in part; nor those of a later version."""
    tiny.save(path, **changed)
    refuse(path, reason)


@pytest.mark.parametrize("name", ["layer.bias", "seen"])
def test_weights_that_are_missing_are_rejected(tiny: Tiny, path: Path, name: str) -> None:
    """A layer left at its random start would act, and badly."""
    weights = {key: value for key, value in tiny.state_dict().items() if key != name}
    save_weights(path, weights, kind="tiny", **SIZES)
    refuse(path, "Error(s) in loading state_dict for Tiny:")


@pytest.mark.parametrize("n_bytes", [0, 4, 8, 60, -1])
def test_a_damaged_file_is_rejected(tiny: Tiny, path: Path, n_bytes: int) -> None:
    """An interrupted copy: nothing, part of the header, or all but the last byte."""
    tiny.save(path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    refuse(path, "Error while deserializing header" if n_bytes else "an empty file (0 bytes)")


def test_a_file_of_no_weights_is_rejected(path: Path) -> None:
    """Git LFS leaves a short text in the place of a file that was not fetched."""
    path.parent.mkdir()
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 20)
    refuse(path, "Error while deserializing header")


def test_a_missing_file_is_rejected(path: Path) -> None:
    """The path that was looked for is what a user needs to see; nor is a folder a file."""
    refuse(path, "No such file or directory")
    path.mkdir(parents=True)
    refuse(path, "")


def test_the_kind_of_a_file_is_told_without_building_it(tmp_path: Path) -> None:
    """Whoever opens a reward must know which of two networks it is."""
    path = tmp_path / "one.safetensors"
    save_weights(path, {"a": torch.zeros(2)}, kind="one of mine")
    assert kind_of(path) == "one of mine"
    assert kind_of(tmp_path / "missing.safetensors") is None
    path.write_bytes(b"no weights at all")
    assert kind_of(path) is None
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    assert kind_of(path) is None

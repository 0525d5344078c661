"""Network weights on disk: `.safetensors` with the constructor arguments; no pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import safetensors

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

Module = TypeVar("Module", bound="nn.Module")
Sizes = TypeVar("Sizes")
_TOO_LARGE = "sizes of a larger network than it has weights for"
_PASSED: set[tuple[object, ...]] = set()  # what `check_sizes` has let pass in this process
KEY = "esarm"  # one metadata entry: the library writes several in no fixed order


class OutgrownError(ValueError):
    """Sizes of a network that is larger than the weights it is to take."""


def save_weights(path: Path, weights: Mapping[str, Tensor], *, kind: str, **sizes: Any) -> None:
    """Write `weights` and the `sizes` that rebuild their module; equal input, equal bytes.

    Args:
        path: Replaced in one step.
        weights: A module's state dict.
        kind: What it is, for instance `policy`; `load_module` checks it.
        sizes: Plain values, handed to the builder when loading.
    """
    from safetensors.torch import save

    metadata = {KEY: json.dumps({"kind": kind, **sizes}, sort_keys=True)}
    tensors = {name: value.contiguous() for name, value in weights.items()}
    with new_file(path) as draft:
        draft.write_bytes(save(tensors, metadata))  # so that a full disk is an `OSError`


def weights_digest(weights: Mapping[str, Tensor], sizes: object) -> str:
    """Return a hexadecimal digest of weights and of the sizes that rebuild their module."""
    digest = hashlib.sha256(repr(sizes).encode())
    for name, value in weights.items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def kind_of(path: Path) -> str | None:
    """Return the `kind` that `save_weights` wrote to a file; None if it cannot be told."""
    kind = note_of(path).get("kind")
    return kind if isinstance(kind, str) else None


def note_of(path: Path) -> dict[str, Any]:
    """Return sizes and `kind` that `save_weights` wrote to a file; {} if they cannot be told."""
    try:
        return _sizes(path)
    except Exception:  # whatever is wrong with it is told by who reads the whole file
        return {}


def load_module(
    path: Path,
    build: Callable[..., Module],
    *,
    kind: str,
    remedy: str = "delete the stage and run it again",
) -> Module:
    """Read what `save_weights` wrote: `build(**sizes)` with its weights, in evaluation mode.

    The sizes come from strangers: the module is first built without memory, and not beyond the
    weights that the file has.

    Raises:
        InputError: If the file is missing, damaged, or of another kind, or a weight is NaN or
            infinite.
    """
    try:
        sizes, tensors = read_weights(path)
        found = sizes.pop("kind", None)
        if found != kind:
            raise ValueError(f"a file of {found or 'something else'}")
        _check_sizes_once(build, tensors, sizes)
        module = build(**sizes)
        _check_types(tensors, module.state_dict())
        module.load_state_dict(tensors)
        _check_finite(module.state_dict())
    # Sizes that no network has end in any exception, from a division by zero to a full stack.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        if path.is_file() and not path.stat().st_size:
            reason = "an empty file (0 bytes)"
        if isinstance(error, (ArithmeticError, AssertionError, LookupError)):
            reason = f"sizes that no network has ({reason})"
        raise InputError(f"{path}: must be a whole {kind} file, got {reason}; {remedy}") from error
    return module.eval()


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what `save_weights` wrote to a file: sizes, with the `kind`, and tensors.

    Raises:
        Exception: Of many kinds, if it is damaged or something else.
    """
    sizes = _sizes(path)
    with safetensors.safe_open(path, framework="pt") as file:
        return sizes, {name: file.get_tensor(name) for name in file.keys()}


def _sizes(path: Path) -> dict[str, Any]:
    """Return the note in a file, alone."""
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise ValueError("a folder" if path.is_dir() else "no regular file")
    with safetensors.safe_open(path, framework="pt") as file:
        sizes = json.loads((file.metadata() or {}).get(KEY, "{}"))
    if not isinstance(sizes, dict):
        raise ValueError("a file of something else")
    return sizes


def _check_sizes_once(
    build: Callable[..., Any], tensors: Mapping[str, Tensor], sizes: Mapping[str, Any]
) -> None:
    """Call `check_sizes`, unless the same has passed already: it takes as long as to load.

    The same is a function that depends on nothing but the sizes, with equal sizes and as many
    weights. Of a class or a closure that cannot be told; those are checked each time.
    """
    free = getattr(build, "__closure__", build) is None and build.__defaults__ is None
    n_numbers = sum(tensor.numel() for tensor in tensors.values())
    key = (
        (build.__module__, build.__code__) if free else None,
        json.dumps(sizes, sort_keys=True),
        n_numbers,
        len(tensors),
    )
    if key in _PASSED:
        return
    check_sizes(build, tensors, **sizes)
    if free:
        _PASSED.add(key)


def check_sizes(
    build: Callable[..., nn.Module], tensors: Mapping[str, Tensor], **sizes: Any
) -> None:
    """Build a module without memory, and raise an error where it outgrows the `tensors`.

    Some room is left, so that a module of another shape is told by its first weight that differs.

    Args:
        build: Makes the module.
        tensors: Its weights by name, as a file has them.
        **sizes: Arguments of `build`.

    Raises:
        OutgrownError: If the module would be larger, as far as it has been built by then.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    most_numbers = 4 * sum(tensor.numel() for tensor in tensors.values()) + 1_000_000
    left = 200 * len(tensors) + 5_000  # calls of torch: a weight is made and filled by a dozen
    if any(abs(number) > most_numbers for number in _whole_numbers(sizes)):
        raise OutgrownError(_TOO_LARGE)

    class Bounded(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal left
            left -= 1
            made = _as_filled(func, args, kwargs or {})
            made = func(*args, **(kwargs or {})) if made is None else made
            if left < 0 or (isinstance(made, torch.Tensor) and made.numel() > most_numbers):
                raise OutgrownError(_TOO_LARGE)
            return made

    # Initialisers switch gradients off and on: stopped in between, they would stay off for good.
    gradients = torch.set_grad_enabled(torch.is_grad_enabled())
    with gradients, torch.device("meta"), Bounded():
        module = build(**sizes)
    if sum(tensor.numel() for tensor in module.state_dict().values()) > most_numbers:
        raise OutgrownError(_TOO_LARGE)


def _as_filled(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return what an initialiser makes of a weight without memory: there is nothing to fill.

    None for any other call. Asked to draw such numbers, torch would load its compiler first, which
    takes longer than torch itself.
    """
    import torch

    if getattr(func, "__module__", "") == "torch.nn.init" and "tensor" in kwargs:
        weight: Tensor = kwargs["tensor"]
        return weight
    if func in (torch.rand, torch.randn):
        return torch.empty(*args, **kwargs)
    if getattr(func, "__name__", "") in ("mul", "__mul__") and isinstance(args[1], float):
        scaled: Tensor = args[0]
        return scaled
    return None


def _whole_numbers(values: object) -> list[int]:
    """Return all whole numbers in plain values."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return [number for value in values for number in _whole_numbers(value)]
    return [values] if isinstance(values, int) else []


def _check_types(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Check that weights are stored as numbers of their kind, in whatever precision."""
    for name, tensor in tensors.items():
        is_float = name in wanted and wanted[name].dtype.is_floating_point
        if tensor.dtype.is_complex or (is_float and not tensor.dtype.is_floating_point):
            raise ValueError(f"`{name}` as {tensor.dtype}")


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(f"`{name}` with NaN or infinity")


def from_sizes(kind: type[Sizes], values: object) -> Sizes:
    """Return the dataclass `kind` of plain `values`, as a file or a user wrote them.

    Raises:
        ValueError: If a value has another type than its field, or a number is negative or not
            finite.
    """
    if not isinstance(values, dict):
        raise ValueError(f"sizes must be a mapping, got a {type(values).__name__}")
    hints = get_type_hints(kind)
    return kind(**{name: _plain(name, value, hints.get(name)) for name, value in values.items()})


def _plain(name: str, value: Any, hint: Any) -> Any:
    """Return a value as its field's type."""
    if isinstance(value, (list, tuple)) and get_origin(hint) is tuple:
        return tuple(_plain(name, item, get_args(hint)[0]) for item in value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int and not (is_number and isinstance(value, int) and value >= 0):
        raise ValueError(f"`{name}` must be a whole number of at least 0, got {value!r}")
    if hint is float and not (is_number and math.isfinite(value)):
        raise ValueError(f"`{name}` must be a finite number, got {value!r}")
    if (hint is str and not isinstance(value, str)) or get_origin(hint) is tuple:
        raise ValueError(f"`{name}` must be a {hint}, got {value!r}")
    return value

"""Codec between Python values and JSON with named tensors: nothing that is read runs code.

Numbers, texts, lists, tuples, dictionaries, arrays, tensors, Gymnasium's spaces, the schedules of
Stable-Baselines3, torch's optimiser classes and the dataclasses that a caller allows are written
plainly. Anything else is pickled, beside its type, and only unpickled for a caller who asks for it.
"""

from __future__ import annotations

import base64
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # which Stable-Baselines3 requires
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common import utils
from torch import Tensor

TAG = ":kind:"
PICKLED = ":serialized:"  # as Stable-Baselines3 marks what it has pickled
SCHEDULES = ("FloatSchedule", "LinearSchedule", "ConstantSchedule")

Classes = Mapping[str, type]


def encode(value: Any, tensors: dict[str, Tensor], *, name: str, classes: Classes) -> Any:
    """Return `value` as JSON has it.

    Args:
        value: What to write.
        tensors: Takes the arrays and tensors in it, by their path.
        name: The path of `value`.
        classes: Dataclasses, and policy classes, that may be named, by name.
    """

    def within(part: Any, key: object) -> Any:
        return encode(part, tensors, name=f"{name}/{key}", classes=classes)

    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple, deque):
        items = [within(part, number) for number, part in enumerate(value)]
        if isinstance(value, list):
            return items
        more = {"maxlen": value.maxlen} if isinstance(value, deque) else {}
        return {TAG: type(value).__name__, "items": items, **more}
    if type(value) in (dict, OrderedDict):
        if all(type(key) is str and not key.startswith(":") for key in value):
            return {key: within(part, key) for key, part in value.items()}
        keys = list(value)
        pairs = [[within(key, "key"), within(value[key], key)] for key in keys]
        return {TAG: "dict", "items": pairs}
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {TAG: "tensor", "name": name}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        tensors[name] = torch.from_numpy(np.array(value))
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {TAG: kind, "name": name}
    return _encode_object(value, within, classes)


def _encode_object(value: Any, within: Callable[[Any, object], Any], classes: Classes) -> Any:
    kind = type(value)
    if isinstance(value, PurePath):
        return {TAG: "path", "text": str(value)}
    if kind in _SPACES.values():
        parts = {key: within(part, key) for key, part in _parts_of_space(value).items()}
        return {TAG: "space", "class": kind.__name__, "parts": parts}
    if kind.__name__ in SCHEDULES and kind is getattr(utils, kind.__name__, None):
        parts = {key: within(part, key) for key, part in vars(value).items()}
        return {TAG: "schedule", "class": kind.__name__, "parts": parts}
    if is_dataclass(value) and classes.get(kind.__name__) is kind:
        parts = {each.name: within(getattr(value, each.name), each.name) for each in fields(value)}
        return {TAG: "dataclass", "class": kind.__name__, "parts": parts}
    if isinstance(value, type):
        name = value.__name__
        if classes.get(name) is value:
            return {TAG: "class", "class": name}
        if getattr(torch.optim, name, None) is value:
            return {TAG: "optimizer class", "class": name}
    pickled = base64.b64encode(cloudpickle.dumps(value)).decode()
    return {":type:": f"{kind.__module__}.{kind.__qualname__}", PICKLED: pickled}


def decode(value: Any, tensors: Mapping[str, Tensor], *, classes: Classes) -> Any:
    """Return what `encode` was given; of what it pickled, check with `pickles_in` before.

    Raises:
        ValueError: If it is nothing that `encode` writes; also `KeyError` and `TypeError`.
    """

    def within(part: Any) -> Any:
        return decode(part, tensors, classes=classes)

    if isinstance(value, list):
        return [within(part) for part in value]
    if not isinstance(value, dict):
        return value
    if PICKLED in value:
        return cloudpickle.loads(base64.b64decode(value[PICKLED]))
    kind = value.get(TAG)
    if kind is None:
        return {key: within(part) for key, part in value.items()}
    if kind in ("tuple", "deque"):
        items = [within(part) for part in value["items"]]
        return tuple(items) if kind == "tuple" else deque(items, value["maxlen"])
    if kind == "dict":
        return {within(key): within(part) for key, part in value["items"]}
    if kind in ("tensor", "array", "scalar"):
        tensor = tensors[value["name"]]
        return tensor if kind == "tensor" else tensor.numpy()[... if kind == "array" else ()]
    if kind == "path":
        return Path(value["text"])
    return _decode_object(kind, value, within, classes)


def _decode_object(
    kind: str, value: dict[str, Any], within: Callable[[Any], Any], classes: Classes
) -> Any:
    name = value["class"]
    parts = {key: within(part) for key, part in value.get("parts", {}).items()}
    if kind == "space":
        return _SPACES[name](**parts)
    if kind == "schedule" and name in SCHEDULES:
        # A base of none of them computes when it is made.
        made = object.__new__(getattr(utils, name))
        made.__dict__.update(parts)
        return made
    if kind == "optimizer class":
        found = getattr(torch.optim, name, None)
        if isinstance(found, type) and issubclass(found, torch.optim.Optimizer):
            return found
    if kind in ("dataclass", "class") and name in classes:
        return classes[name] if kind == "class" else _made(classes[name], parts)
    raise ValueError(f"{kind} {name!r} is not known here")


def _made(kind: Any, parts: dict[str, Any]) -> Any:
    """Return a dataclass of `parts`, whose plain fields must have plain values."""
    for each in fields(kind):
        wanted = _PLAIN_FIELDS.get(getattr(each.type, "__name__", str(each.type)))
        value = parts.get(each.name)
        if wanted is None or each.name not in parts:
            continue
        is_other = isinstance(value, bool) and wanted is not bool
        if not isinstance(value, wanted) or is_other or value != value:  # a NaN
            raise ValueError(
                f"`{kind.__name__}.{each.name}` must be of type {each.type}, got {value!r}"
            )
    return kind(**parts)


_PLAIN_FIELDS: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float), "str": str}


def pickles_in(value: Any) -> list[str]:
    """Return the types of all that is pickled in encoded data, as these say."""
    if isinstance(value, list):
        return [found for part in value for found in pickles_in(part)]
    if not isinstance(value, dict):
        return []
    if PICKLED in value:
        return [str(value.get(":type:", "something"))]
    return [found for part in value.values() for found in pickles_in(part)]


_SPACES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Dict)
}


def _parts_of_space(space: Any) -> dict[str, Any]:
    """Return the arguments that make a space; its random generator is left out."""
    if isinstance(space, spaces.Box):
        return {"low": space.low, "high": space.high, "dtype": np.dtype(space.dtype).name}
    if isinstance(space, spaces.Discrete):
        return {"n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"nvec": space.nvec, "start": space.start, "dtype": np.dtype(space.dtype).name}
    if isinstance(space, spaces.MultiBinary):
        return {"n": space.n}
    return {"spaces": dict(space.spaces)}

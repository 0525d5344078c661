"""Checkpoint file: a zip of JSON and safetensors, which runs no code when it is read.

`data` holds settings and counters (JSON), `parameters` the structure of weights and optimiser
state (JSON), and `tensors.safetensors` all their arrays. What is no plain data, such as a schedule
that is a function, is pickled within `data`; a file that holds such, and one of an older version,
is read only if the caller passes `allow_pickle=True`.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.save_util import load_from_zip_file, open_path
from stable_baselines3.common.utils import get_device

from agents.common.checkpoint_values import check_policy, check_states
from agents.common.plain_data import Classes, decode, encode, pickles_in
from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError

Policy = TypeVar("Policy", bound="PlainPolicyFile")
DATA, PARAMETERS, TENSORS = "data", "parameters", "tensors.safetensors"
_INFLATION = 64  # no entry of ours is compressed; zips of others are, by less than this

FilePath = str | Path | io.BufferedIOBase


def write_checkpoint(
    path: FilePath, data: Mapping[str, Any], parameters: Mapping[str, Any], *, classes: Classes
) -> None:
    """Write a checkpoint; a file is replaced in one step.

    Args:
        path: A path, which gets the suffix `.zip` if it has none, or an open binary file.
        data: Attributes by name.
        parameters: State dicts by name.
        classes: What may be named in the file, by name.
    """
    tensors: dict[str, torch.Tensor] = {}
    parts = {
        each: encode(dict(value), tensors, name=each, classes=classes)
        for each, value in ((DATA, data), (PARAMETERS, parameters))
    }
    content = safetensors.torch.save(tensors)
    if not isinstance(path, str | Path):
        _write(path, parts, content)
        return
    with new_file(checkpoint_path(path)) as draft, draft.open("wb") as file:
        _write(file, parts, content)


def checkpoint_path(path: str | Path) -> Path:
    """Return where a checkpoint called `path` is, with a suffix, as Stable-Baselines3 does it."""
    file = Path(path)
    return file if file.suffix else Path(f"{file}.zip")


def _write(file: Any, parts: Mapping[str, Any], content: bytes) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, json.dumps(part, indent=1))
        archive.writestr(TENSORS, content)


def read_checkpoint(
    path: FilePath,
    *,
    classes: Classes,
    allow_pickle: bool,
    custom_objects: Mapping[str, Any] | None = None,
    with_data: bool = True,
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read attributes and state dicts; None for a file of an older version that may be unpickled.

    Args:
        path: As of `write_checkpoint`.
        classes: What may be named in the file, by name.
        allow_pickle: Whether to run what is pickled in it, from a source that is trusted.
        custom_objects: Attributes by name, in place of those in the file.
        with_data: Whether to read attributes, too; else they are {}.

    Raises:
        InputError: If the file is damaged or no checkpoint, or holds pickles and `allow_pickle` is
            False.
    """
    label = str(path) if isinstance(path, str | Path) else "the checkpoint"
    parts = _read_parts(path, label)
    if parts is None:
        _expect_trust(label, ["all of it (a version before safetensors)"], allow_pickle)
        return None
    data, parameters, content = parts
    replaced = dict(custom_objects or {})
    kept = {key: each for key, each in data.items() if key not in replaced} if with_data else {}
    pickled = [f"`{key}` ({', '.join(found)})" for key in kept if (found := pickles_in(kept[key]))]
    pickled += pickles_in(parameters)
    if pickled:
        _expect_trust(label, pickled, allow_pickle)
    try:
        tensors = safetensors.torch.load(content)
        decoded = {key: decode(each, tensors, classes=classes) for key, each in kept.items()}
        states = decode(parameters, tensors, classes=classes)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise _damaged(label, error) from error
    except (safetensors.SafetensorError, RecursionError, OverflowError) as error:
        raise _damaged(label, error) from error
    return {**decoded, **(replaced if with_data else {})}, states


def read_old_checkpoint(
    path: FilePath,
    label: str,
    custom_objects: Mapping[str, Any] | None = None,
    print_system_info: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Unpickle attributes and state dicts of a file that is trusted, as Stable-Baselines3 wrote it.

    Raises:
        InputError: If it is none.
    """
    objects = dict(custom_objects or {})
    try:
        data, parameters, _ = load_from_zip_file(
            path, device="cpu", custom_objects=objects, print_system_info=print_system_info
        )
    except Exception as error:  # of whatever was pickled
        raise _damaged(label, error) from error
    if not isinstance(data, dict):
        raise InputError(f"{label}: must be a checkpoint of `save`, got one without attributes")
    # As Stable-Baselines3 does with those of its first versions.
    if isinstance(data.get("policy_kwargs"), dict):
        data["policy_kwargs"].pop("device", None)
    return data, parameters


def _read_parts(path: FilePath, label: str) -> tuple[dict[str, Any], dict[str, Any], bytes] | None:
    """Return the parts of a checkpoint, undecoded; None if it is one of an older version."""
    if isinstance(path, str | Path):
        there = [each for each in (Path(path), checkpoint_path(path)) if each.exists()]
        if there and not there[0].is_file():
            raise InputError(f"{label}: must be a file, got a folder, a FIFO or a device")
    try:
        file = open_path(path, "r", suffix="zip")
    except OSError as error:
        raise InputError(f"{label}: must be a file that can be read, got {error}") from error
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            # What torch saves is a zip of a pickle, too.
            pickled = DATA in names or any(name.endswith("data.pkl") for name in names)
            if pickled and PARAMETERS not in names:
                return None
            size = sum(info.file_size for info in archive.infolist())
            packed = sum(info.compress_size for info in archive.infolist())
            if size > _INFLATION * (packed + 1024):
                raise ValueError(f"{packed} bytes that unpack to {size}")
            data, parameters = (json.loads(archive.read(name)) for name in (DATA, PARAMETERS))
            if not isinstance(data, dict) or not isinstance(parameters, dict):
                raise ValueError("other JSON than that of a checkpoint")
            return data, parameters, archive.read(TENSORS)
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, OSError) as error:
        raise _damaged(label, error) from error
    except (EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise _damaged(label, error) from error
    finally:
        if isinstance(path, str | Path):
            file.close()


class PlainPolicyFile(BaseModel):
    """`save` and `load` of a policy on its own, without pickle."""

    def save(self, path: str) -> None:
        """Save constructor arguments and weights, as JSON and safetensors."""
        arguments = self._get_constructor_parameters()
        del arguments["lr_schedule"]  # the algorithm that loads it sets its own
        write_checkpoint(path, arguments, {"policy": self.state_dict()}, classes={})

    @classmethod
    def load(
        cls: type[Policy],
        path: str,
        device: torch.device | str = "auto",
        *,
        allow_pickle: bool = False,
    ) -> Policy:
        """Load what `save` wrote; a file of an older version needs `allow_pickle=True`.

        Raises:
            InputError: If the file is damaged, or holds pickles and `allow_pickle` is False.
        """
        read = read_checkpoint(path, classes={}, allow_pickle=allow_pickle)
        kind: Any = cls
        label = str(path)
        try:
            if read is None:
                return super().load(path, device)
            arguments, states = read[0], read[1]["policy"]
            spaces = [arguments.pop(f"{name}_space") for name in ("observation", "action")]
            given = (*spaces, kind._dummy_schedule)
            check_policy(cls, given, arguments, states, label=label)
            policy: Policy = kind(*given, **arguments)
            check_states({"policy": states}, {"policy": policy}, exact=True, label=label)
        except InputError:
            raise
        except Exception as error:  # of whatever it is a file
            raise _damaged(label, error) from error
        policy.load_state_dict(states)
        return policy.to(get_device(device))


def _expect_trust(label: str, pickled: list[str], allow_pickle: bool) -> None:
    if not allow_pickle:
        raise InputError(
            f"{label}: must hold plain data, got pickles, which may run any code when they are "
            f"read: {', '.join(pickled)}; if you trust who made the file, pass `allow_pickle=True` "
            "(and `save` it again), or give what is pickled yourself, as "
            "`custom_objects={'learning_rate': ...}`"
        )


def _damaged(label: str, error: BaseException) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{label}: must be a whole checkpoint of `save`, got {reason}")

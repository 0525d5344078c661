"""Files of reward models, and whose class is trusted to be built from one.

A file names its class, as `module:Class`, and holds no code. What is in a weights file imports
nothing; the class is one that

- was handed over (`load_net(path, net=MyNet)`),
- is defined in this process already, since the user has imported it,
- is installed under the entry-point group `esarm.reward_nets`, or
- was named by the user before the path: `learned:my_module:MyNet@PATH` imports `my_module`.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError, one_line
from esarm_env.core.plugins import PluginRegistry
from esarm_env.core.weights import load_module, note_of, save_weights
from reward.nets.base import RewardNet
from reward.nets.checks import check_sizes_of

if TYPE_CHECKING:
    from types import ModuleType

NET_KIND = "reward net"
NET_GROUP = "esarm.reward_nets"
_NAMED = re.compile(r"([A-Za-z_][\w.]*:[A-Za-z_][\w.]*)@(.+)", re.DOTALL)
_REMEDY = "save it again with `RewardNet.save`"


def _check_class(value: object) -> type[RewardNet]:
    if not (isinstance(value, type) and issubclass(value, RewardNet)):
        raise TypeError(f"its entry point is {value!r:.60}, not a subclass of `RewardNet`")
    return value


NETS: PluginRegistry[type[RewardNet]] = PluginRegistry("reward net", NET_GROUP, check=_check_class)


def name_of(net: type[RewardNet]) -> str:
    """Return `module:Class`; that of a script is called as if the script were imported."""
    module = net.__module__
    if module == "__main__":
        script = sys.modules["__main__"]
        spec, file = getattr(script, "__spec__", None), getattr(script, "__file__", None)
        module = spec.name if spec else Path(file).stem if file else module
    return f"{module}:{net.__qualname__}"


def save_net(net: RewardNet, path: Path | str) -> None:
    """Write weights, sizes and the name of the class to one `.safetensors` file.

    Raises:
        InputError: If `sizes` do not build the network again.
    """
    check_sizes_of(net)
    sizes = {"audio_dim": net.audio_dim, "motion_dim": net.motion_dim, "sizes": net.sizes}
    save_weights(Path(path), net.state_dict(), kind=NET_KIND, net_class=name_of(type(net)), **sizes)


def load_net(path: Path | str, net: type[RewardNet] | None = None) -> RewardNet:
    """Read what `RewardNet.save` wrote, ready to score.

    Args:
        path: Of the file.
        net: Its class; by default the one that the file names, if it is trusted (see above).

    Raises:
        InputError: If the file is missing, damaged or something else, or its class is not trusted.
    """
    place = Path(path).expanduser()
    note = note_of(place)
    known = RewardNet if net is None else net
    if net is None and note.get("kind") == NET_KIND:
        known = _known(note.get("net_class"), place)

    def build(net_class: str, audio_dim: int, motion_dim: int, sizes: dict[str, Any]) -> RewardNet:
        return known(audio_dim=audio_dim, motion_dim=motion_dim, **sizes)

    return load_module(place, build, kind=NET_KIND, remedy=_REMEDY).requires_grad_(False)


def trusted_place(text: str) -> Path:
    """Return the path in `PATH` or `MODULE:CLASS@PATH`; naming a class imports it.

    Raises:
        InputError: If there is no such class.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        return Path(text)
    module, _, name = found[1].partition(":")
    try:
        value: object = _imported(module)
        for part in name.split("."):
            value = getattr(value, part)
        _check_class(value)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"`{found[1]}` must be a subclass of `reward.RewardNet` that can be imported, got "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error
    return Path(found[2])


def _imported(module: str) -> ModuleType:
    """Return a module, one in the working folder if no other has its name."""
    here = str(Path.cwd())
    if here in sys.path:
        return importlib.import_module(module)
    sys.path.append(here)  # behind all others: a file here hides no package
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(here)


def _known(name: object, path: Path) -> type[RewardNet]:
    """Return the trusted class of a name; of classes defined again, as in notebooks, the last."""
    installed = [plugin.load() for plugin in NETS.find().values() if plugin.error is None]
    found = [each for each in [*installed, *_defined(RewardNet)] if name_of(each) == name]
    if found:
        return found[-1]
    shown = str(name)[:80]
    module, _, cls = shown.partition(":")
    raise InputError(
        f"{path}: must hold a reward model of a class that is trusted, got {shown!r}, which no "
        f"weights file makes us import; import it first (`from {module} import {cls}`), name it "
        f"(`learned:{shown}@{path}`), hand it to `reward.load_net(path, net={cls})`, or install it "
        f"under the entry-point group `{NET_GROUP}`"
    )


def _defined(parent: type[RewardNet]) -> list[type[RewardNet]]:
    """Return all subclasses that this process has defined, older ones first."""
    children = parent.__subclasses__()
    return [*children, *(each for child in children for each in _defined(child))]

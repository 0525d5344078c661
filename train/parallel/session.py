"""Start and end of Ray for one command: quiet, without usage statistics, nothing left running."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.processors import n_processors

if TYPE_CHECKING:
    from types import ModuleType

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or every start warns of a change to come
}
# Libraries read it when they are loaded. Ray sets it to a task's CPUs where it is unset, and numpy
# would then add up in another order than in the process that started it.
_THREADS = "OMP_NUM_THREADS"
_ADDRESS = "RAY_ADDRESS"


def import_ray(purpose: str, *, extra: str = "ray") -> ModuleType:
    """Return Ray.

    Raises:
        MissingExtraError: If it is not installed; the message holds the pip line.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in _QUIET.items()})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError as error:
        raise MissingExtraError("ray", extra=extra, purpose=purpose) from error
    return ray


def has_ray() -> bool:
    """Return whether Ray is installed; imports nothing."""
    from importlib.util import find_spec

    return find_spec("ray") is not None


@contextlib.contextmanager
def ray_session(cpus: int, *, purpose: str, extra: str = "ray") -> Iterator[Any]:
    """Yield Ray, started on this machine with `cpus` or connected to the cluster `RAY_ADDRESS`.

    One that was started here ends with the block, however that ends: no process of it is left. One
    that this process was connected to before stays.

    Args:
        cpus: Processors that tasks may ask for at a time; of a cluster its own count.
        purpose: What needs Ray, as a message begins.
        extra: That brings it.

    Raises:
        MissingExtraError: If Ray is not installed.
        InputError: If it cannot start, or the cluster does not answer.
    """
    ray = import_ray(purpose, extra=extra)
    if ray.is_initialized():
        yield ray
        return
    begun = _begin(ray, cpus)
    files = None
    if not os.environ.get(_ADDRESS):
        with contextlib.suppress(Exception):  # where Ray keeps its logs is its own affair
            files = ray._private.worker._global_node.get_session_dir_path()
    try:
        yield begun
    finally:
        ray.shutdown()
        if files:
            shutil.rmtree(files, ignore_errors=True)


def worker_environment() -> dict[str, str]:
    """Return variables that workers must share with this process to compute the same digits."""
    return {_THREADS: os.environ.get(_THREADS) or str(n_processors())}


def _begin(ray: Any, cpus: int) -> Any:
    address = os.environ.get(_ADDRESS)
    if not address and "RAY_AUTH_MODE" not in os.environ:
        # A token of this session alone: else Ray leaves one in the user's home.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    options: dict[str, Any] = {} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": worker_environment()},
                **options,
            )
    except KeyboardInterrupt:
        ray.shutdown()
        raise
    except Exception as error:  # of its processes, of the network, of the versions of two nodes
        ray.shutdown()
        where = f"the cluster {address}" if address else "this machine"
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"Ray must start on {where}, got {said}") from error
    return ray

"""Start of Ray on this machine, or connection to the cluster that `RAY_ADDRESS` names.

One session serves all pools of a process. Who started Ray ends it: a program that called `ray.init`
itself keeps it, and what was started here ends with the last pool.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.processors import n_processors
from esarm_env.core.workers import guardian
from esarm_env.core.workers.versions import Versions, check_versions, make_probe

ADDRESS = "RAY_ADDRESS"
# Nothing is reported to anybody, and devices are left as they are.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_TOKEN = "RAY_AUTH_TOKEN"
_PROBE_S = 60.0  # a node that answers no later than this is up


class _Session:
    """How many pools use Ray, and whether it was started here."""

    users = 0
    is_ours = False
    guardian: subprocess.Popen[bytes] | None = None
    warned_of: set[int] = set()  # noqa: RUF012  # numbers of workers that were said to be too many


def load_ray(
    purpose: str = "work in several processes (`workers` above 0)", *, extra: str = "ray"
) -> Any:
    """Import Ray.

    Args:
        purpose: What needs it, as a message begins.
        extra: That brings it.

    Raises:
        MissingExtraError: If it is not installed; the message holds the pip line.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError as error:
        raise MissingExtraError("ray", extra=extra, purpose=purpose) from error
    return ray


@contextlib.contextmanager
def ray_session(
    cpus: int, *, purpose: str, extra: str = "ray", environment: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """Yield Ray, started on this machine or connected to the cluster `RAY_ADDRESS`.

    One that was started here ends with the block if no pool needs it, however the block ends. One
    that runs already is taken as it is.

    Args:
        cpus: Processors that tasks may ask for at a time; of a cluster its own count.
        purpose: What needs Ray, as a message begins.
        extra: That brings it.
        environment: Variables that tasks have.

    Raises:
        MissingExtraError: If Ray is not installed.
        InputError: If it cannot start, or the cluster is out of reach or has other versions.
    """
    ray = load_ray(purpose, extra=extra)
    _ensure_started(ray, cpus, environment or {})
    _Session.users += 1
    try:
        yield ray
    finally:
        release()


def acquire(n_workers: int) -> tuple[Any, float]:
    """Return Ray, running, and the processors that each of `n_workers` asks it for.

    Raises:
        InputError: If `RAY_ADDRESS` names no cluster, or one of other versions.
        MissingExtraError: If Ray is not installed.
    """
    ray = load_ray()
    _ensure_started(ray, n_processors(), {})
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        cores = sum(node["Resources"].get("CPU", 0.0) for node in nodes)
        _warn_of_many(n_workers, int(cores))
    except BaseException:
        if not _Session.users:
            _stop(ray)
        raise
    _Session.users += 1
    # On one machine the system shares processors out; of several, Ray must not fill the first.
    return ray, 0.0 if len(nodes) < 2 else min(1.0, cores / n_workers)


def release() -> None:
    """Say that a pool needs Ray no longer; the last one ends what was started here."""
    _Session.users = max(0, _Session.users - 1)
    if not _Session.users:
        _stop(load_ray())


def _ensure_started(ray: Any, cpus: int, environment: Mapping[str, str]) -> None:
    if not ray.is_initialized():
        _start(ray, cpus, environment)
        _Session.is_ours = True
        atexit.register(_stop, ray)


def _start(ray: Any, cpus: int, environment: Mapping[str, str]) -> None:
    address = os.environ.get(ADDRESS, "")
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if environment:
        quiet["runtime_env"] = {"env_vars": dict(environment)}
    if address:
        _connect(ray, address, quiet)
        return
    # A token of this session alone: else Ray leaves one in the user's home.
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ.setdefault(_TOKEN, secrets.token_hex(32))
    mark = secrets.token_hex(16)
    _Session.guardian = subprocess.Popen(
        [sys.executable, "-I", guardian.__file__, mark],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the driver
    )
    os.environ[guardian.MARK] = mark  # all that Ray starts has it
    try:
        with _without_pages(ray):
            ray.init(num_cpus=cpus, include_dashboard=False, **quiet)
    except BaseException as error:
        ray.shutdown()
        _dismiss_guardian()
        if not isinstance(error, Exception):
            raise
        raise InputError(f"Ray must start on this machine, got {one_line(error)[:300]}") from error
    finally:
        del os.environ[guardian.MARK]


def _dismiss_guardian() -> None:
    """Let the guardian end what is left of the session, and itself."""
    process, _Session.guardian = _Session.guardian, None
    if process is not None:
        process.communicate()


@contextlib.contextmanager
def _without_pages(ray: Any) -> Iterator[None]:
    """Start Ray without the thread that prints a page on standard output when a worker dies.

    Who replaces the worker says what matters, and standard output may be JSON. Ray has no setting
    for it; where its insides are other ones by now, the pages are printed.
    """
    inside = getattr(ray._private, "worker", None)
    name = "listen_error_messages"
    if not hasattr(inside, name):
        yield
        return

    def wait(worker: Any, threads_stopped: threading.Event) -> None:
        threads_stopped.wait()

    before = getattr(inside, name)
    setattr(inside, name, wait)
    try:
        yield
    finally:
        setattr(inside, name, before)


def _connect(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    if address.startswith("ray://"):
        raise InputError(
            f"`{ADDRESS}` must be `auto` or HOST:PORT of a cluster that this machine has joined, "
            f"got {address!r}; run `ray start --address=HOST:PORT` here, and start from here"
        )
    try:
        with _without_pages(ray):
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        # Ray compares its own version and Python's, and says both.
        rule = "of this process's versions" if "ersion" in str(error) else "that can be reached"
        raise InputError(
            f"`{ADDRESS}` must be a cluster {rule}, got {address!r}: {one_line(error)[:400]}; "
            f"unset {ADDRESS} to work on this machine alone"
        ) from error
    try:
        check_versions(make_probe()(), _versions_of_nodes(ray))
    except BaseException:
        ray.shutdown()
        raise


def _versions_of_nodes(ray: Any) -> dict[str, Versions]:
    """Return what each node of the cluster has, by address."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(make_probe())
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            asked[node["NodeManagerAddress"]] = probe.options(
                num_cpus=0, scheduling_strategy=there
            ).remote()
    return dict(zip(asked, ray.get(list(asked.values()), timeout=_PROBE_S), strict=True))


def _stop(ray: Any) -> None:
    if not _Session.is_ours:
        return
    _Session.is_ours = False
    folder = None
    if not os.environ.get(ADDRESS):
        with contextlib.suppress(Exception):  # where Ray keeps its logs is its own affair
            folder = ray._private.worker._global_node.get_session_dir_path()
    ray.shutdown()
    _dismiss_guardian()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def _warn_of_many(n_workers: int, cores: int) -> None:
    if n_workers > cores and n_workers not in _Session.warned_of:
        _Session.warned_of.add(n_workers)
        warnings.warn(
            f"`workers` is {n_workers}, more than the {cores} processors there are; they share "
            "them, and are no faster than as many as processors",
            stacklevel=5,
        )

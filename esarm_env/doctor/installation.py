"""Installation checks: Python, packages, extras, head, registration, reward plug-ins."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import numpy as np

from esarm_env.doctor.check import DEFAULT_ENV, CheckFailed, Subject
from esarm_env.doctor.requirements import Requirement, is_within

DISTRIBUTION = "esarm"
SHOWN = ("torch", "gymnasium", "stable-baselines3", "numpy", "transformers")


def check_python(_: Subject) -> str:
    """Compare the running Python with `Requires-Python` of the installed package."""
    from importlib.metadata import metadata

    version = platform.python_version()
    wanted = metadata(DISTRIBUTION)["Requires-Python"]
    if not is_within(version, wanted):
        raise CheckFailed(f"Python must be {wanted}, got {version}")
    return version


def check_packages(_: Subject) -> str:
    """Compare the version of every required package with the range that it must be in."""
    faults = [fault for need in _requirements() if (fault := _fault(need))]
    if faults:
        raise CheckFailed(", ".join(faults))
    return ", ".join(f"{name} {got}" for name in SHOWN if (got := _version(name)))


def check_extras(_: Subject) -> str:
    """List the extras that are complete; an absent one is no failure."""
    from importlib.metadata import metadata

    absent = {
        extra: [fault for need in _requirements(extra) if (fault := _fault(need))]
        for extra in metadata(DISTRIBUTION).get_all("Provides-Extra", [])
    }
    there = ", ".join(extra for extra, faults in absent.items() if not faults) or "none"
    missing = ", ".join(extra for extra, faults in absent.items() if faults) or "none"
    return f"installed: {there}; not installed: {missing}"


def check_head(_: Subject) -> str:
    """Check that the package's head can be built and moved."""
    from esarm_env.face.head import load_head

    head = load_head()
    if not (np.isfinite(head.vertices).all() and np.isfinite(head.deltas).all()):
        raise CheckFailed("the head has vertices or displacements that are not finite")
    still = int((~head.deltas.any(axis=(1, 2))).sum())
    if still:
        raise CheckFailed(f"shapes that do not move the head: {still}")
    return f"{len(head.vertices)} vertices, {len(head.deltas)} shapes"


def check_registration(_: Subject) -> str:
    """Check that `ESARM-v0` is registered and its entry points can be imported."""
    import gymnasium
    from gymnasium.envs.registration import load_env_creator

    import esarm_env

    spec = gymnasium.spec(DEFAULT_ENV)
    points = (spec.entry_point, spec.vector_entry_point)
    if None in points:
        raise CheckFailed(
            f"{DEFAULT_ENV} must have a scalar and a vector entry point, got {points}"
        )
    for point in points:
        if isinstance(point, str):
            load_env_creator(point)
    return f"{DEFAULT_ENV} of esarm {esarm_env.__version__}"


def check_plug_ins(_: Subject) -> str:
    """Check that every reward plug-in can be imported."""
    from esarm_env.rewards import find_rewards

    rewards = find_rewards()
    broken = [
        f"{name!r} of {reward.package} ({reward.error.splitlines()[0]})"
        for name, reward in rewards.items()
        if reward.error
    ]
    if broken:
        raise CheckFailed(f"every reward must be importable, got {', '.join(broken)}")
    if not rewards:
        raise CheckFailed("there must be rewards, got none; the package's metadata are incomplete")
    return ", ".join(reward.usage for reward in rewards.values())


def check_rewards(_: Subject) -> str:
    """Check that every reward without arguments can be made and scores an animation."""
    from esarm_env.core.errors import NotInRunError
    from esarm_env.core.types import Trajectories
    from esarm_env.rewards import find_rewards, resolve_reward
    from esarm_env.task.opening import open_problem

    task, run = open_problem()
    utterance = task.corpus.split("train")[:1]
    lengths = task.lengths[utterance]
    tokens = np.zeros((1, int(lengths[0])), dtype=np.int64)
    animation = Trajectories(utterance, tokens, lengths, task.condition_of(utterance))
    scores, broken = [], []
    for name, reward in find_rewards().items():
        if reward.argument == "required" or reward.error:
            continue
        try:
            score = resolve_reward(name, task, run).score(animation)
        except NotInRunError:
            scores.append(f"{name} not in this run")
        except Exception as error:  # whatever a plug-in raises, the others are tried, too
            broken.append(f"{name!r} of {reward.package} ({error})")
        else:
            scores.append(f"{name} {score[0]:.3g}")
    if broken:
        raise CheckFailed(f"every reward must score, got {', '.join(broken)}")
    return ", ".join(scores)


def _requirements(extra: str = "") -> Iterator[Requirement]:
    """Yield the requirements of the package, or the additional ones of `extra`."""
    from importlib.metadata import requires

    for text in requires(DISTRIBUTION) or []:
        need = Requirement.parse(text)
        if need.extra == extra:
            yield need


def _fault(need: Requirement) -> str | None:
    """Return the fault of an installed package, None if it satisfies its requirement."""
    got = _version(need.name)
    if got is None:
        return f"{need.name} must be installed, got none"
    if is_within(got, need.range):
        return None
    return f"{need.name} must be {need.range}, got {got}"


def _version(name: str) -> str | None:
    """Return the version of an installed package; None if it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None

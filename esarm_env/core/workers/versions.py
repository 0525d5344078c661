"""Versions that all nodes of a cluster must have alike: results rest on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from esarm_env.core.errors import InputError

PACKAGES = ("ray", "torch", "numpy", "esarm")
Versions = dict[str, str]


def make_probe(packages: tuple[str, ...] = PACKAGES) -> Callable[[], Versions]:
    """Return a function that tells the versions where it runs, "none" of what is absent.

    It imports nothing of ours, so that it runs on a node that lacks the package.
    """

    def probe() -> Versions:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found = {"Python": platform.python_version()}
        for package in packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = "none"
        return found

    return probe


def check_versions(ours: Versions, nodes: Mapping[str, Versions]) -> None:
    """Check that all nodes have the versions of this process.

    Args:
        ours: Of this process.
        nodes: Of each node by its address.

    Raises:
        InputError: If one has others; the message has both.
    """
    for address, theirs in sorted(nodes.items()):
        unlike = [name for name in ours if theirs.get(name, "none") != ours[name]]
        if unlike:
            got = ", ".join(
                f"{name} {theirs.get(name, 'none')} instead of {ours[name]}" for name in unlike
            )
            raise InputError(
                "`RAY_ADDRESS` must be a cluster whose nodes have the versions of this process, "
                f"got {got} on {address}; install the same on both, or unset RAY_ADDRESS to work "
                "on this machine alone"
            )

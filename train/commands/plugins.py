"""`esarm plugins`: rewards, algorithms, corpus layouts, exporters and metrics, as installed.

A command of its own file, named as the command; what it prints comes from the registries.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.commands.options import check_json_target, write_json

_HEADINGS = ("kind", "name", "package", "ground truth", "")
_TRUTH = {True: "needed", False: "not needed", None: "?"}


def command_plugins(*, json: Path | None = None) -> None:
    """List rewards, algorithms, layouts, exporters and metrics.

    Plug-ins of other packages are listed, too; a broken one is shown with the reason. Use a reward
    by its name, as in `gymnasium.make("ESARM-v0", reward="learned")`, an algorithm in the setting
    `improve.algorithms`, a layout in `corpus.layout`, an exporter by the suffix of the output of
    `esarm animate`; metrics are in the last `info` of an episode.

    The fourth column tells which rewards need the ground truth (recorded motion), which speech
    without recordings does not have; `?` means that this is known only when the reward is made.

    Args:
        json: Also write the list to this file.
    """
    check_json_target(json)
    found = installed_plugins()
    rows = [_HEADINGS]
    for kind, plugins in found.items():
        for plugin in plugins.values():
            text = plugin["description"]
            if plugin["error"] is not None:
                text = f"cannot be used: {plugin['error'].splitlines()[0]}"
            truth = _TRUTH[plugin["needs_ground_truth"]] if kind == "reward" else ""
            rows.append((kind, plugin["usage"], plugin["package"], truth, text))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    write_json(found, json)


def installed_plugins() -> dict[str, dict[str, dict[str, Any]]]:
    """Return name, package, description and fault of every plug-in, by kind and name.

    `needs_ground_truth` is of rewards: None where it shows first when one is made, and of others.
    """
    from agents.registry import ALGORITHMS
    from esarm_env.corpus.layouts.registry import find_layouts
    from esarm_env.face.exporters import EXPORTERS
    from esarm_env.rewards import find_rewards
    from esarm_env.task.episode_metrics import find_metrics
    from reward.nets.files import NETS

    kinds: dict[str, Mapping[str, Any]] = {
        "reward": find_rewards(),
        "algorithm": ALGORITHMS.find(),
        "layout": find_layouts(),
        "exporter": EXPORTERS.find(),
        "metric": find_metrics(),
        "reward net": NETS.find(),
    }
    return {
        kind: {
            name: {
                "usage": getattr(plugin, "usage", name),
                "package": plugin.package,
                "description": plugin.description,
                "needs_ground_truth": getattr(plugin, "needs_ground_truth", None),
                "error": plugin.error,
            }
            for name, plugin in plugins.items()
        }
        for kind, plugins in kinds.items()
    }

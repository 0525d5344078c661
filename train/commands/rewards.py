"""`esarm rewards`: what an environment can be given as `reward`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.commands.options import write_json

_TRUTH = {True: "yes", False: "no", None: "?"}
_HEADINGS = ("reward", "ground truth", "package", "")


def command_rewards(*, json: Path | None = None) -> None:
    """List the installed rewards: ours, and those other packages bring.

    Each is asked for by its name, as in `gymnasium.make("ESARM-v0", reward="learned")`, or in a
    weighted sum, `reward={"learned": 1.0, "jerk": -0.1}`. The second column tells whether it looks
    at the recorded motion, as only a measure of success should; `?` where that shows first when
    the reward is made.

    Args:
        json: Also write the list to this file.
    """
    rewards = _installed()
    rows = [_HEADINGS]
    for reward in rewards.values():
        text = reward["description"]
        if reward["error"] is not None:
            text = f"cannot be used: {reward['error'].splitlines()[0]}"
        needs = _TRUTH[reward["needs_ground_truth"]]
        rows.append((reward["usage"], needs, reward["package"], text))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    write_json({"rewards": rewards}, json)


def _installed() -> dict[str, dict[str, Any]]:
    from esarm_env.rewards import find_rewards

    keys = ("usage", "description", "needs_ground_truth", "argument", "package", "error")
    return {
        name: {key: getattr(reward, key) for key in keys} for name, reward in find_rewards().items()
    }

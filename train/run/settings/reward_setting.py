"""The setting `improve.reward`: a name, or names with weights, as an environment takes them.

Checked in two steps: its type where settings are read, and whether there are such rewards before
the first stage works. Heavy packages are imported inside the functions.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from esarm_env.core.errors import InputError
from esarm_env.core.plugins import did_you_mean
from train.run.settings.plain_yaml import shown

RewardSetting = str | dict[str, float]
REWARD_KEY = "improve.reward"
# Their argument is one path or more; looked at before the hours of the stages before.
_REWARDS_OF_PATHS = ("learned", "expected-error", "naturalness", "ensemble", "likelihood")
_REWARDS_OF_SERVERS = ("http", "https")  # likewise: asked whether they answer


def checked_reward(value: Any, *, name: str = REWARD_KEY) -> RewardSetting:
    """Return a setting that is a name, or names with finite weights.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or not value:
        raise InputError(
            f"`{name}` must be a reward, or rewards with weights such as "
            f"{{learned: 1, jerk: -0.1}}, got {shown(repr(value))}"
        )
    weights: dict[str, float] = {}
    for term, weight in value.items():
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not isinstance(term, str) or not number or not abs(weight) < math.inf:
            raise InputError(
                f"`{name}` must give each reward a finite weight, got {shown(repr(weight))} for "
                f"{shown(repr(term))}"
            )
        weights[term] = float(weight)
    return weights


def reward_text(setting: RewardSetting) -> str:
    """Return a setting in one line: a name, or the sum of the terms as `learned - 0.1 * jerk`."""
    if isinstance(setting, str):
        return setting
    text = ""
    for name, weight in setting.items():
        sign = " - " if weight < 0 else " + "
        size = "" if abs(weight) == 1 else f"{abs(weight):g} * "
        text += (sign if text else sign.strip(" +")) + size + name
    return text


def check_reward(setting: RewardSetting, *, name: str = REWARD_KEY) -> None:
    """Check that what is to be climbed is installed, each with an argument where it needs one.

    Raises:
        InputError: If one is not, or names a run or weights that are not there, or a server that
            does not answer.
    """
    for text in [setting] if isinstance(setting, str) else setting:
        _check_name(text, name)


def _check_name(text: str, setting: str) -> None:
    from esarm_env.rewards import find_rewards

    known = find_rewards()
    name, colon, argument = text.partition(":")
    if name not in known:
        hint = did_you_mean(name, known)
        raise InputError(f"`{setting}` must be one of {', '.join(known)}, got {text!r}{hint}")
    known[name].load()
    given = "required" if colon else "none"
    if known[name].argument not in (given, "optional") or (colon and not argument):
        raise InputError(f"`{setting}` must be given as {known[name].usage!r}, got {text!r}")
    if name == "bond":
        _check_name(argument, setting)
    if name in _REWARDS_OF_SERVERS:
        from reward.remote.reward import check_server

        check_server(text)
    paths = argument.split(",") if argument and name in _REWARDS_OF_PATHS else []
    missing = [path for path in paths if not Path(path.strip()).expanduser().exists()]
    if missing:
        raise InputError(
            f"`{setting}` must name runs or weights that are there, got {missing[0].strip()!r}"
        )

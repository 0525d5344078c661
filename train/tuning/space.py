"""Search space of a sweep: the declared settings of a stage, some of them, or a user's own file."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from train.run.config import SECTION_OF_RECIPE, make_config, to_dict
from train.run.setting_ranges import SEARCH_SPACE, Tunable, check_settings
from train.run.settings.plain_yaml import read_yaml, shown

if TYPE_CHECKING:
    from train.run.config import Config

Space = dict[str, Tunable]
STAGES = tuple(SEARCH_SPACE)
# Which sections of the settings each stage reads.
SECTIONS = {
    "clone": ("clone",),
    "reward": ("reward", "consensus", "naturalness", "preferences"),
    "improve": ("improve",),
}
_KEYS = ("low", "high", "scale")
_SCALES = ("log", "linear")


def space_of(stage: str, config: Config, names: Sequence[str]) -> Space:
    """Return the search space of a stage: by default its usual settings.

    Args:
        stage: One of `STAGES`.
        config: Of the trials; settings that are not read with it are not tried.
        names: Of declared settings, with or without their section; or one YAML file, which may
            name any setting of the stage.

    Raises:
        InputError: If a name is unknown or not read, or the file holds no space.
    """
    declared = {key: one for key, one in SEARCH_SPACE[stage].items() if is_read(key, config)}
    if not names:
        return {key: one for key, one in declared.items() if one.usual}
    if len(names) == 1 and Path(names[0]).suffix in (".yaml", ".yml"):
        return _space_in(Path(names[0]), stage, config)
    found = [_meant(name, declared, stage, config) for name in names]
    twice = sorted({key for key in found if found.count(key) > 1})
    if twice:
        raise InputError(f"`space` must name a setting once, got {', '.join(twice)} again")
    return {key: declared[key] for key in found}


def is_read(key: str, config: Config) -> bool:
    """Return whether a setting of a stage has any effect beside the other settings."""
    section, _, name = key.partition(".")
    if section in ("reward", "consensus", "naturalness"):
        in_use = SECTION_OF_RECIPE.get(config.recipe)
        if section == "naturalness":
            return in_use == "consensus" and (name == "weight" or config.naturalness.weight != 0)
        return section == in_use
    return section != "improve" or _algorithm_reads(name, config)


def _algorithm_reads(name: str, config: Config) -> bool:
    from agents.distillation import SequenceDistillation
    from agents.registry import ALGORITHMS, takes

    algorithm = config.improve.algorithms[0]
    kind = ALGORITHMS.load(algorithm, setting="improve.algorithms")
    distils = issubclass(kind, SequenceDistillation)
    if name.startswith("distillation."):
        return distils
    if distils and name in to_dict(config.improve.distillation):
        return False  # it has its own
    if name in ("chunk_discount", "look_ahead_chunks", "spread_coef"):
        return algorithm in config.improve.chunk_credit
    if name in ("batch_tokens", "value_warmup", "stream_advantages"):
        return takes(kind, name)
    return True


def check_space(
    space: Space, *, stage: str, file: Path, settings: Sequence[str], config: Config
) -> None:
    """Check that a sweep has something to try, and may try all of it.

    Args:
        space: To check.
        stage: That is tuned.
        file: Settings of the run.
        settings: `KEY=VALUE` that all trials share.
        config: Made of both.

    Raises:
        InputError: If nothing is tried, a setting is fixed as well or not read, or an end of a
            range is none that the setting may have.
    """
    if not space:
        raise InputError("`space` must name at least one setting, got none")
    fixed = {each.partition("=")[0].strip() for each in settings}
    for key, tunable in space.items():
        if key in fixed:
            raise InputError(f"`{key}` must be fixed or tried, got both `--set` and `--space`")
        if not is_read(key, config):
            raise InputError(
                f"`space` must name settings that are read, got {key!r}, which the algorithm or "
                "recipe of the trials does not; choose another by `--set`"
            )
        for value in tunable.values or (tunable.least, tunable.most):
            one = int(value) if tunable.whole else value
            tried = make_config(preset="demo", file=file, overrides=[*settings, setting(key, one)])
            try:
                check_settings(tried, [stage])
            except InputError as error:
                raise InputError(f"`space`: {error}") from error


def setting(key: str, value: Any) -> str:
    """Return a setting as `KEY=VALUE`."""
    return f"{key}={json.dumps(value)}"


def plain(space: Space) -> dict[str, Any]:
    """Return a space as values for JSON or YAML, which `space_of` reads."""
    return {
        key: list(one.values)
        if one.values
        else {"low": _end(one, one.least), "high": _end(one, one.most), "scale": _scale(one)}
        for key, one in space.items()
    }


def _scale(one: Tunable) -> str:
    return "log" if one.log else "linear"


def _end(one: Tunable, value: float) -> float:
    return int(value) if one.whole else value


def known_keys(stage: str, config: Config) -> list[str]:
    """Return the full names of all settings of a stage."""
    values = to_dict(config)

    def keys(prefix: str, section: Mapping[str, Any]) -> list[str]:
        found = []
        for name, value in section.items():
            nested = isinstance(value, dict) and f"{prefix}{name}" != "improve.reward"
            found += keys(f"{prefix}{name}.", value) if nested else [f"{prefix}{name}"]
        return found

    return [key for section in SECTIONS[stage] for key in keys(f"{section}.", values[section])]


def _meant(name: str, declared: Space, stage: str, config: Config) -> str:
    """Return the declared setting that is called `name`."""
    if name in declared:
        return name
    alike = [key for key in declared if key.endswith(f".{name}")]
    if len(alike) == 1:
        return alike[0]
    if name in SEARCH_SPACE[stage]:
        raise InputError(
            f"`space` must name settings that are read, got {name!r}, which the algorithm or "
            f"recipe of the trials does not; there are {', '.join(declared)}"
        )
    raise InputError(
        f"`space` must name settings that can be tuned, got {name!r}"
        f"{_near(name, list(declared))}; there are {', '.join(declared)}; others can be named in a "
        "YAML file"
    )


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    near = near or [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]]
    return f"; did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else ""


def _space_in(file: Path, stage: str, config: Config) -> Space:
    known, space = known_keys(stage, config), Space()
    for key, value in read_yaml(file).items():
        if key not in known:
            raise InputError(
                f"{file}: must name settings of the stage `{stage}`, got {key!r}"
                f"{_near(key, known)}; `esarm settings` lists them"
            )
        space[key] = _tunable(file, key, value, config)
    return space


def _tunable(file: Path, key: str, value: Any, config: Config) -> Tunable:
    """Return what a file says of a setting: a list of values, or a range."""
    if isinstance(value, list):
        if len(value) < 2 or any(isinstance(each, (list, dict)) for each in value):
            raise InputError(
                f"{file}: `{key}` must be a list of at least two values, got {shown(repr(value))}"
            )
        return Tunable(values=tuple(value))
    rule = f"{file}: `{key}` must be a list of values, or {{low: A, high: B, scale: log or linear}}"
    if not isinstance(value, dict) or set(value) - set(_KEYS) or not {"low", "high"} <= set(value):
        raise InputError(f"{rule}, got {shown(repr(value))}")
    low, high, scale = value["low"], value["high"], value.get("scale", "linear")
    numbers = all(isinstance(each, (int, float)) and math.isfinite(each) for each in (low, high))
    if not numbers or scale not in _SCALES or not low < high:
        raise InputError(f"{rule} with A below B, got {shown(repr(value))}")
    if scale == "log" and low <= 0:
        raise InputError(f"{file}: `{key}` must be above 0 to be searched by factors, got {low}")
    now = _value(to_dict(config), key)
    return Tunable(low, high, log=scale == "log", whole=isinstance(now, int))


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values

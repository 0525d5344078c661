"""Configuration of a run: presets, a YAML file, and `--set KEY=VALUE`, checked strictly."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from agents.cloning import CloneConfig
from agents.distillation.config import FROM_RECORDINGS
from esarm_env.core.deprecation import NewName, old_names_of, renamed_keys
from esarm_env.core.errors import InputError
from esarm_env.core.training.ranges import MAY_BE_0, ranges
from esarm_env.encoder.config import EncoderConfig
from esarm_env.tokenizer import PriorConfig
from reward.consensus.settings import ConsensusConfig
from reward.naturalness.settings import NaturalnessConfig
from reward.preference.settings import PreferenceConfig
from reward.ranking.settings import RewardConfig
from train.run.own_code import with_own_code
from train.run.settings.plain_yaml import checked_value, parse, read_yaml, shown
from train.run.settings.reward_setting import REWARD_KEY, RewardSetting, checked_reward
from train.run.settings.sections import (
    CorpusConfig,
    DemonstrateConfig,
    EvaluateConfig,
    ImproveConfig,
)


@ranges(seed=MAY_BE_0)
@dataclass(frozen=True)
class Config:
    """Everything that determines a run's result.

    Attributes:
        seed: Random seed of every stage but the corpus, which has its own.
        recipe: Recipe of the reward model: `consensus` (expected distance from the clone's other
            samples) or `paper` (ranks of noise levels alone).
        corpus: Speech and motion.
        prior: The motion tokenizer.
        encoder: The speech encoder that the policy hears through.
        clone: Behaviour cloning.
        demonstrate: Ranked roll-outs.
        reward: The reward model of the recipe `paper`.
        consensus: The reward model of the recipe `consensus`.
        naturalness: The second head of that reward model, which tells recordings from samples.
        preferences: What raters prefer, beside either recipe.
        improve: Reinforcement learning.
        evaluate: Held-out figures.
    """

    seed: int = 0
    recipe: str = "consensus"
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    clone: CloneConfig = field(default_factory=CloneConfig)
    demonstrate: DemonstrateConfig = field(default_factory=DemonstrateConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    naturalness: NaturalnessConfig = field(default_factory=NaturalnessConfig)
    preferences: PreferenceConfig = field(default_factory=PreferenceConfig)
    improve: ImproveConfig = field(default_factory=ImproveConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)


_hints: Callable[[Any], dict[str, Any]] = functools.cache(get_type_hints)

# Where the settings of each recipe of the reward model are.
SECTION_OF_RECIPE = {"consensus": "consensus", "paper": "reward"}
# Sections that a recipe reads besides.
_BESIDES = {"naturalness": "consensus"}

PRESETS = {
    "demo": Config(),
    # Nothing is trained to its end: to see that all works, not what comes of it.
    "quick": Config(
        corpus=CorpusConfig(size=320),
        prior=PriorConfig(epochs=4),
        encoder=EncoderConfig(epochs=4),
        clone=CloneConfig(epochs=5),
        demonstrate=DemonstrateConfig(train_utterances=64),
        consensus=ConsensusConfig(train_utterances=96, epochs=4),
        naturalness=NaturalnessConfig(train_utterances=96, epochs=2),
        improve=ImproveConfig(
            iterations=4,
            distillation=dataclasses.replace(FROM_RECORDINGS, iterations=4, answers_iterations=2),
        ),
        evaluate=EvaluateConfig(energy_samples=4, temperatures=(), extra_utterances=16),
    ),
    # Recognising phones costs minutes that the demo does not spare.
    "small": Config(
        corpus=CorpusConfig(size=4000, encoder="phones+logmel"),
        prior=PriorConfig(epochs=60),
        clone=CloneConfig(n_layers=4, epochs=12),
        demonstrate=DemonstrateConfig(train_utterances=2000),
        reward=RewardConfig(width=128, epochs=15),
        consensus=ConsensusConfig(members=3, train_utterances=2000, width=128, epochs=40),
        improve=ImproveConfig(iterations=150, n_episodes=128),
    ),
    # The paper's set-up where it says one: WavLM features, five noise levels, RL to convergence.
    "paper": Config(
        recipe="paper",
        corpus=CorpusConfig(size=0, encoder="wavlm"),
        prior=PriorConfig(epochs=120, n_tokens=256, hidden=256, code_dim=64),
        clone=CloneConfig(n_layers=6, n_heads=8, width=256, epochs=20, batch_sequences=32),
        demonstrate=DemonstrateConfig(rollouts=4, train_utterances=0),
        reward=RewardConfig(n_layers=4, n_heads=8, width=256, epochs=20, batch_utterances=32),
        consensus=ConsensusConfig(
            members=3, train_utterances=4000, samples=16, n_layers=4, width=192, epochs=60
        ),
        improve=ImproveConfig(iterations=1000, n_episodes=256),
    ),
}


def is_quick(config: Config) -> bool:
    """Return whether networks are trained as briefly as by the preset `quick`."""
    brief = PRESETS["quick"]
    return (config.encoder, config.clone) == (brief.encoder, brief.clone)


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as plain dicts, lists and scalars."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return list(value) if isinstance(value, tuple) else value

    return dict(plain(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any], *, kind: type[Any] = Config, prefix: str = "") -> Any:
    """Return a configuration of type `kind` from plain `values`; absent keys keep their default.

    Old names are taken without a word: `values` may be what an older version saved.

    Raises:
        InputError: If a key is unknown or a value has another type, naming the full key.
    """
    hints = _hints(kind)
    values = renamed_keys(values, old_names_of(kind), prefix=prefix, silent=True)
    unknown = sorted(f"{prefix}{key}" for key in set(values) - set(hints))
    if unknown:
        keys = shown(", ".join(unknown))
        section = f" {prefix.rstrip('.')}" if prefix else ""
        listed = f"`esarm settings{section}` lists them"
        near = _meant(unknown[0])
        raise InputError(
            f"settings must be known, got {keys}{f'{near} ' if near else '; '}{listed}"
        )
    made: dict[str, Any] = {}
    for key, value in values.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise InputError(f"`{prefix}{key}` must be a section, got {shown(value)}")
            made[key] = from_dict(value, kind=hint, prefix=f"{prefix}{key}.")  # type: ignore[arg-type]
        elif hint == RewardSetting:
            made[key] = checked_reward(value, name=prefix + key)
        else:
            made[key] = checked_value(value, hint, name=prefix + key)
    return kind(**made)


def _meant(key: str) -> str:
    """Return a hint at the setting whose name is near to a `key` that there is not, if one is."""
    sections = get_type_hints(Config)
    settings = [
        f"{section}.{name}"
        for section, kind in sections.items()
        if dataclasses.is_dataclass(kind)
        for name in get_type_hints(kind)
    ]
    # A setting without its section is the commonest slip.
    known = [each for each in settings if each.partition(".")[2] == key]
    near = known or difflib.get_close_matches(key, [*sections, *settings], n=1, cutoff=0.7)
    return f"; did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else ""


def make_config(*, preset: str, file: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return a preset, or a file's configuration, with `overrides` such as `clone.epochs=10`.

    Presets and files hold the settings of every recipe; what is set one by one must change some.

    Raises:
        InputError: If the preset, the file, a key or a value is not valid, or a setting of a recipe
            that is not in use is among the overrides.
    """
    if preset not in PRESETS:
        raise InputError(f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}")
    values = to_dict(PRESETS[preset]) if file is None else _values_of(file)
    for override in overrides:
        _override(values, override)
    config: Config = from_dict(values)
    if file is None and not any(each.strip().startswith("corpus.size") for each in overrides):
        from esarm_env.corpus.synthetic.design import at_most_all

        size = at_most_all(config.corpus.size, config.corpus.name)
        config = dataclasses.replace(config, corpus=dataclasses.replace(config.corpus, size=size))
    _check_recipe_in_use(config.recipe, overrides)
    return dataclasses.replace(config, improve=with_own_code(config.improve, overrides))


def _values_of(file: Path) -> dict[str, Any]:
    """Return the values in a file, which are a configuration by themselves."""
    values = _under_new_names(read_yaml(file))
    try:
        from_dict(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    return values


def _override(values: dict[str, Any], override: str) -> None:
    """Set one of `values` as `KEY=VALUE` says; of a section, the settings that VALUE has alone."""
    key, equals, text = override.partition("=")
    *sections, last = key.split(".")
    if not equals or not all([*sections, last]):
        raise InputError(f"`--set` must be KEY=VALUE, got {shown(repr(override))}")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise InputError(f"`{key}` must name a setting, but {section} is one already")
    value = parse(text, rule=f"`--set` must be KEY=VALUE with a YAML value for `{shown(key)}`")
    names = _old_names(".".join(sections))
    for name, new in renamed_keys({last: value}, names, prefix=key.removesuffix(last)).items():
        old = place.get(name)
        both = isinstance(old, dict) and isinstance(new, dict) and key != REWARD_KEY
        place[name] = {**old, **_renamed(name, new)} if both else new  # type: ignore[dict-item]


def _renamed(section: str, settings: dict[str, Any]) -> dict[str, Any]:
    return renamed_keys(settings, _old_names(section), prefix=f"{section}.")


def _under_new_names(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that somebody wrote with new names for old ones, and warn of these."""
    made = dict(values)
    for section, setting in values.items():
        if isinstance(setting, dict):
            made[section] = _renamed(section, setting)
    return made


def _old_names(section: str) -> dict[str, NewName]:
    """Return the new name of each setting of a section that was renamed, by its old name."""
    return old_names_of(get_type_hints(Config).get(section, object))


def _check_recipe_in_use(recipe: str, overrides: Sequence[str]) -> None:
    """Refuse a setting that nobody would read: it is of another recipe than the one in use."""
    other = {section: name for name, section in SECTION_OF_RECIPE.items() if name != recipe}
    section_in_use = SECTION_OF_RECIPE.get(recipe)
    if section_in_use is None:  # an unknown recipe is refused where all ranges are checked
        return
    known = {field.name for field in dataclasses.fields(get_type_hints(Config)[section_in_use])}
    for override in overrides:
        key = override.partition("=")[0]
        section, _, setting = key.partition(".")
        if _BESIDES.get(section, recipe) != recipe:
            raise InputError(
                f"`{key}` is a setting of the recipe `{_BESIDES[section]}`, and the recipe in use "
                f"is `{recipe}`: choose `recipe={_BESIDES[section]}`"
            )
        if section not in other:
            continue
        instead = f"`{section_in_use}.{setting}`" if setting in known else f"`{section_in_use}.*`"
        raise InputError(
            f"`{key}` is a setting of the recipe `{other[section]}`, and the recipe "
            f"in use is `{recipe}`: set {instead}, or choose `recipe={other[section]}`"
        )

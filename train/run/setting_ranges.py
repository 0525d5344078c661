"""Ranges of all settings of a run, checked before its first stage works.

A stage that finds a setting out of range finds it after minutes or hours of the stages before, and
the classes it hands the setting to know it by a name of their own. Here every complaint is an
`InputError` under the setting's full key. What only a stage can know (whether a split has enough
utterances) stays with the stage. Heavy packages are imported inside the functions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import STAGES
from train.run.config import SECTION_OF_RECIPE

if TYPE_CHECKING:
    from train.run.config import Config

# Whole numbers are counts, at least 1, but for these, where 0 means none, or all.
_MAY_BE_ZERO = frozenset(
    {
        "blocks",
        "damages",
        "extra_utterances",
        "head_layers",
        "look_ahead_frames",
        "others_per_update",
        "seed",
        "size",
        "train_utterances",
        "value_warmup",
    }
)
_LARGEST = 2**31 - 1  # of whole numbers: torch and numpy refuse larger seeds and sizes in their way
# Numbers are at least 0 and finite; further limits, whatever section the setting is in.
_ABOVE_ZERO = frozenset({"confidence", "distance_scale_mm", "learning_rate", "shortest_crop"})
_BELOW_ONE = frozenset({"confidence", "dropout", "label_smoothing"})
_AT_MOST_ONE = frozenset(
    {
        "distance_smoothing",
        "hidden_speakers",
        "quantiser_dropout",
        "read_share",
        "scheduled_sampling",
        "shortest_crop",
        "speaker_dropout",
        "token_noise",
        "voice_bars",
        "voice_variety",
    }
)
_CHOICES = {"stream_advantages": ("auto", "on", "off"), "alarm": ("off", "warn", "stop")}


def check_settings(config: Config, stages: Iterable[str] = STAGES) -> None:
    """Check every setting that `stages` read, as far as it can be done before they work.

    Args:
        config: Of a run.
        stages: By default all.

    Raises:
        InputError: If one is out of its range; the message begins with its full key.
    """
    if not 0 <= config.seed <= _LARGEST:
        bound = "at least 0" if config.seed < 0 else f"at most {_LARGEST}"
        raise InputError(f"`seed` must be {bound}, got {config.seed}")
    for stage in stages:
        _CHECKS[stage](config)


def _check_corpus(config: Config) -> None:
    from esarm_env.audio.features import check_encoder

    _check_numbers("corpus", config.corpus)
    with _under("corpus", config.corpus):
        check_encoder(config.corpus.encoder)


def _check_prior(config: Config) -> None:
    _check_numbers("prior", config.prior)
    with _under("prior", config.prior):
        _ = config.prior.shape


def _check_encoder(config: Config) -> None:
    # No epochs do without an encoder; everything else counts from 1 as it does elsewhere.
    settings = dataclasses.replace(config.encoder, epochs=config.encoder.epochs or 1)
    _check_numbers("encoder", settings)
    with _under("encoder", config.encoder):
        config.encoder.check()
        config.encoder.shape(feature_dim=1, condition_dim=1)


def _check_clone(config: Config) -> None:
    _check_numbers("clone", config.clone)
    with _under("clone", config.clone):
        config.clone.check()
    # Rotary positions pair the columns of each head.
    _check_width("clone", config.clone, multiple_of=2 * config.clone.n_heads)


def _check_demonstrate(config: Config) -> None:
    from reward.demonstrations.collector import check_levels

    _check_numbers("demonstrate", config.demonstrate)
    with _under("demonstrate", config.demonstrate):
        check_levels(config.demonstrate.epsilons)


def _check_reward(config: Config) -> None:
    if config.recipe not in SECTION_OF_RECIPE:
        known = " or ".join(f"`{name}`" for name in SECTION_OF_RECIPE)
        raise InputError(f"`recipe` must be {known}, got {config.recipe!r}")
    if config.recipe == "paper":
        _check_paper(config)
    else:
        _check_consensus(config)


def _check_paper(config: Config) -> None:
    from reward.ranking.network import POOLINGS

    _check_numbers("reward", config.reward)
    _check_width("reward", config.reward, multiple_of=math.lcm(2, config.reward.n_heads))
    _check_choice("reward.pooling", config.reward.pooling, POOLINGS)
    levels = config.demonstrate.epsilons
    if len(levels) < 2:
        raise InputError(
            "`demonstrate.epsilons` must be at least two levels for the recipe `paper`, which "
            f"ranks them, got {list(levels)}"
        )


def _check_consensus(config: Config) -> None:
    from reward.consensus.network import COMBINATIONS
    from reward.demonstrations.corruptions.registry import family_named

    settings = config.consensus
    _check_numbers("consensus", settings)
    _check_width("consensus", settings, multiple_of=math.lcm(2, settings.n_heads))
    _check_choice("consensus.combination", settings.combination, COMBINATIONS)
    if settings.samples < 2:
        raise InputError(f"`consensus.samples` must be at least 2, got {settings.samples}")
    for strength in settings.strengths:
        if not 0 < strength <= 1:
            raise InputError(f"`consensus.strengths` must be above 0 and at most 1, got {strength}")
    for family in settings.families:
        try:
            family_named(family)
        except InputError as error:
            raise InputError(f"`consensus.families`: {error}") from error


def _check_improve(config: Config) -> None:
    from agents.common.checks import check_divergence, check_episodes, check_temperature
    from agents.registry import ALGORITHMS

    settings = config.improve
    _check_numbers("improve", settings)
    if not settings.algorithms:
        known = ", ".join(ALGORITHMS.find())
        raise InputError(f"`improve.algorithms` must be at least one of {known}, got none")
    for name in settings.algorithms:
        ALGORITHMS.load(name, setting="improve.algorithms")
    for name, choices in _CHOICES.items():
        _check_choice(f"improve.{name}", getattr(settings, name), choices)
    _check_reward_name(settings.reward)
    with _under("improve", settings):
        check_episodes(
            n_episodes=settings.n_episodes, samples_per_utterance=settings.samples_per_utterance
        )
        check_temperature(settings.temperature)
        check_divergence(
            kl_coef=settings.kl_coef,
            reference_kl_target=settings.reference_kl_target or None,
            target_kl=None,
            loss_mean="token",
        )


# Their argument is one path or more; looked at before the hours of the stages before.
_REWARDS_OF_PATHS = ("learned", "ensemble", "likelihood")


def _check_reward_name(text: str) -> None:
    """Check that the reward to climb is installed, and given with an argument if it needs one."""
    from esarm_env.rewards import find_rewards

    known = find_rewards()
    name, colon, argument = text.partition(":")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"`improve.reward` must be one of {', '.join(known)}, got {text!r}{hint}")
    known[name].load()
    given = "required" if colon else "none"
    if known[name].argument not in (given, "optional") or (colon and not argument):
        raise InputError(f"`improve.reward` must be given as {known[name].usage!r}, got {text!r}")
    paths = argument.split(",") if argument and name in _REWARDS_OF_PATHS else []
    missing = [path for path in paths if not Path(path.strip()).expanduser().exists()]
    if missing:
        raise InputError(
            f"`improve.reward` must name runs or weights that are there, got {missing[0].strip()!r}"
        )


def _check_evaluate(config: Config) -> None:
    from esarm_env.face.loaders import OWN_HEAD, open_head

    _check_numbers("evaluate", config.evaluate)
    if config.evaluate.energy_samples < 2:  # a pair of samples tells how far apart they are
        got = config.evaluate.energy_samples
        raise InputError(f"`evaluate.energy_samples` must be at least 2, got {got}")
    if config.evaluate.head != OWN_HEAD:
        try:
            open_head(config.evaluate.head)
        except InputError as error:
            raise InputError(f"`evaluate.head`: {error}") from error


_CHECKS: dict[str, Callable[[Config], None]] = {
    "corpus": _check_corpus,
    "prior": _check_prior,
    "encoder": _check_encoder,
    "clone": _check_clone,
    "demonstrate": _check_demonstrate,
    "reward": _check_reward,
    "improve": _check_improve,
    "evaluate": _check_evaluate,
}


def _check_numbers(section: str, settings: Any) -> None:
    """Check the plain limits of all numbers of a section."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        key = f"`{section}.{field.name}`"
        if isinstance(value, int) and not isinstance(value, bool):
            least = 0 if field.name in _MAY_BE_ZERO else 1
            if not least <= value <= _LARGEST:
                bound = f"at least {least}" if value < least else f"at most {_LARGEST}"
                raise InputError(f"{key} must be {bound}, got {value}")
        elif isinstance(value, float):
            rule = _broken_rule(field.name, value)
            if rule:
                raise InputError(f"{key} must be {rule}, got {value}")


def _broken_rule(name: str, value: float) -> str:
    """Return the limits that `value` is not within; empty if it is."""
    above_zero = name in _ABOVE_ZERO
    lower = "above 0" if above_zero else "at least 0"
    upper = "finite"
    fits = math.isfinite(value) and (value > 0 or (value == 0 and not above_zero))
    if name in _BELOW_ONE:
        upper, fits = "below 1", fits and value < 1
    elif name in _AT_MOST_ONE:
        upper, fits = "at most 1", fits and value <= 1
    return "" if fits else f"{lower} and {upper}"


def _check_width(section: str, settings: Any, *, multiple_of: int) -> None:
    if settings.width % multiple_of:
        raise InputError(
            f"`{section}.width` must be a multiple of {multiple_of} for "
            f"{settings.n_heads} heads (`{section}.n_heads`), got {settings.width}"
        )


def _check_choice(key: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise InputError(f"`{key}` must be one of {', '.join(choices)}, got {value!r}")


@contextlib.contextmanager
def _under(section: str, settings: Any) -> Iterator[None]:
    """Turn a complaint about settings into an `InputError` that names them by their full keys."""
    names = {field.name for field in dataclasses.fields(settings)}

    def full(match: re.Match[str]) -> str:
        name = match[1]
        return f"`{section}.{name}`" if name in names else match[0]

    try:
        yield
    except ValueError as error:
        raise InputError(re.sub(r"`(\w+)`", full, str(error))) from error

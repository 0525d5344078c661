"""Ranges of all settings of a run, checked before its first stage works.

A stage that finds a setting out of range finds it after minutes or hours of the stages before, and
the classes it hands the setting to know it by a name of their own. Here every complaint is an
`InputError` under the setting's full key. What only a stage can know (whether a split has enough
utterances) stays with the stage. Which settings a sweep tries, and where, stands here, too. Heavy
packages are imported inside the functions.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import STAGES
from esarm_env.core.training.ranges import check_ranges
from train.run.config import SECTION_OF_RECIPE
from train.run.own_code import own_rewards, register_own_code
from train.run.settings.reward_setting import check_reward

if TYPE_CHECKING:
    from train.run.config import Config
    from train.run.settings.sections import ImproveConfig

_CHOICES = {
    "stream_advantages": ("auto", "on", "off"),
    "alarm": ("off", "warn", "stop"),
    "interpolation": ("off", "report", "true-error", "no-recordings"),
}


@dataclass(frozen=True)
class Tunable:
    """Values of a setting that a sweep (`esarm tune`) tries: a range, or some values.

    Attributes:
        least: Lower end of the range.
        most: Upper end.
        log: Whether the range is searched by factors and not by differences.
        whole: Whether whole numbers are tried alone.
        values: Instead of a range, the values.
        usual: Whether it is tried where nobody names settings.
    """

    least: float = 0.0
    most: float = 0.0
    log: bool = False
    whole: bool = False
    values: tuple[Any, ...] = ()
    usual: bool = False


# By the stage that a sweep tunes. Wide enough to hold what is good on corpora of any size, and
# narrow enough that twenty trials see something; a user's own space may name any setting.
SEARCH_SPACE: dict[str, dict[str, Tunable]] = {
    "clone": {
        "clone.learning_rate": Tunable(2e-4, 5e-3, log=True, usual=True),
        "clone.dropout": Tunable(0.0, 0.4, usual=True),
        "clone.label_smoothing": Tunable(0.0, 0.2, usual=True),
        "clone.token_noise": Tunable(0.0, 0.3, usual=True),
        "clone.weight_decay": Tunable(1e-3, 0.2, log=True),
        "clone.distance_smoothing": Tunable(0.0, 0.8),
        "clone.scheduled_sampling": Tunable(0.0, 0.5),
        "clone.speaker_dropout": Tunable(0.0, 0.5),
        "clone.feature_noise": Tunable(0.0, 0.3),
        "clone.batch_sequences": Tunable(values=(4, 8, 16, 32)),
        "clone.n_layers": Tunable(1, 6, whole=True),
        "clone.width": Tunable(values=(64, 128, 192, 256)),
    },
    "reward": {
        "consensus.learning_rate": Tunable(3e-4, 1e-2, log=True, usual=True),
        "consensus.dropout": Tunable(0.0, 0.4, usual=True),
        "consensus.margin": Tunable(1.0, 20.0, log=True, usual=True),
        "consensus.weight_decay": Tunable(1e-3, 0.2, log=True),
        "consensus.hidden_speakers": Tunable(0.0, 0.5),
        "consensus.damages": Tunable(0, 8, whole=True),
        "consensus.n_layers": Tunable(1, 4, whole=True),
        "consensus.width": Tunable(values=(64, 96, 128, 192)),
        "consensus.batch_utterances": Tunable(values=(8, 16, 32)),
        "naturalness.weight": Tunable(0.0, 4.0),
        "naturalness.graded": Tunable(0.0, 1.0),
        "reward.learning_rate": Tunable(1e-4, 5e-3, log=True, usual=True),
        "reward.dropout": Tunable(0.0, 0.4, usual=True),
        "reward.shortest_crop": Tunable(0.2, 1.0, usual=True),
        "reward.weight_decay": Tunable(1e-3, 0.2, log=True),
        "reward.n_layers": Tunable(1, 4, whole=True),
        "reward.width": Tunable(values=(64, 96, 128, 192)),
        "reward.batch_utterances": Tunable(values=(8, 16, 32)),
        "reward.pooling": Tunable(values=("mean", "last")),
    },
    "improve": {
        "improve.learning_rate": Tunable(1e-5, 1e-3, log=True, usual=True),
        "improve.kl_coef": Tunable(0.03, 3.0, log=True, usual=True),
        "improve.samples_per_utterance": Tunable(values=(2, 4, 8), usual=True),
        "improve.temperature": Tunable(0.7, 1.3),
        "improve.reference_averaging": Tunable(0.0, 0.3),
        "improve.n_episodes": Tunable(values=(32, 64, 128)),
        "improve.batch_tokens": Tunable(values=(2048, 4096, 8192)),
        "improve.value_warmup": Tunable(0, 3, whole=True),
        "improve.chunk_discount": Tunable(0.3, 1.0),
        "improve.look_ahead_chunks": Tunable(1, 3, whole=True),
        "improve.spread_coef": Tunable(0.0, 1.0),
        "improve.distillation.learning_rate": Tunable(3e-5, 1e-3, log=True, usual=True),
        "improve.distillation.risk_coef": Tunable(2.0, 60.0, log=True, usual=True),
        "improve.distillation.own_share": Tunable(0.0, 1.0, usual=True),
        "improve.distillation.kl_coef": Tunable(0.0, 0.5),
        "improve.distillation.target_coef": Tunable(0.0, 1.0),
        "improve.distillation.n_epochs": Tunable(1, 3, whole=True),
    },
}


def check_settings(config: Config, stages: Iterable[str] = STAGES) -> None:
    """Check every setting that `stages` read, as far as it can be done before they work.

    Args:
        config: Of a run.
        stages: By default all.

    Raises:
        InputError: If one is out of its range; the message begins with its full key.
    """
    check_ranges(config)
    for stage in stages:
        _CHECKS[stage](config)


def _check_corpus(config: Config) -> None:
    from esarm_env.audio.features import check_encoder
    from esarm_env.core.plugins import unknown_name
    from esarm_env.corpus.layouts.registry import AUTO, find_layouts

    with _under("corpus", config.corpus):
        check_ranges(config.corpus)
        check_encoder(config.corpus.encoder)
    known = (AUTO, *find_layouts())
    if config.corpus.layout not in known:
        name = config.corpus.layout
        raise InputError(unknown_name(name, dict.fromkeys(known), setting="corpus.layout", kind=""))


def _check_prior(config: Config) -> None:
    with _under("prior", config.prior):
        check_ranges(config.prior)
        _ = config.prior.shape


def _check_encoder(config: Config) -> None:
    from esarm_env.audio.features import WavLM, make_encoder

    with _under("encoder", config.encoder):
        config.encoder.check()
        config.encoder.shape(feature_dim=1, condition_dim=1)
        layers, name = config.encoder.finetune_layers, config.corpus.encoder
        if layers:
            made = make_encoder(name)
            if not isinstance(made, WavLM):
                raise InputError(
                    "`finetune_layers` must be 0 unless `corpus.encoder` is a WavLM, got "
                    f"{layers} with {name!r}"
                )
            made.check(finetune_layers=layers)


def _check_clone(config: Config) -> None:
    with _under("clone", config.clone):
        config.clone.check()
    # Rotary positions pair the columns of each head.
    _check_width("clone", config.clone, multiple_of=2 * config.clone.n_heads)


def _check_demonstrate(config: Config) -> None:
    from reward.demonstrations.collector import check_levels

    with _under("demonstrate", config.demonstrate):
        check_ranges(config.demonstrate)
        check_levels(config.demonstrate.epsilons)


def _check_reward(config: Config) -> None:
    if config.recipe not in SECTION_OF_RECIPE:
        known = " or ".join(f"`{name}`" for name in SECTION_OF_RECIPE)
        raise InputError(f"`recipe` must be {known}, got {config.recipe!r}")
    with _under("preferences", config.preferences):
        check_ranges(config.preferences)
    for file in config.preferences.files:
        if not Path(file).expanduser().is_file():
            raise InputError(
                f"`preferences.files` must be files of preferences, got {file!r}, where no file is"
            )
    if config.recipe == "paper":
        _check_paper(config)
    else:
        _check_consensus(config)


def _check_paper(config: Config) -> None:
    from reward.ranking.settings import CHUNK_CREDITS, POOLINGS

    with _under("reward", config.reward):
        check_ranges(config.reward)
    _check_width("reward", config.reward, multiple_of=math.lcm(2, config.reward.n_heads))
    _check_choice("reward.pooling", config.reward.pooling, POOLINGS)
    _check_choice("reward.chunk_credit", config.reward.chunk_credit, CHUNK_CREDITS)
    levels = config.demonstrate.epsilons
    if len(levels) < 2:
        raise InputError(
            "`demonstrate.epsilons` must be at least two levels for the recipe `paper`, which "
            f"ranks them, got {list(levels)}"
        )


def _check_consensus(config: Config) -> None:
    from reward.consensus.settings import COMBINATIONS
    from reward.demonstrations.corruptions.registry import family_named

    settings = config.consensus
    with _under("consensus", settings):
        check_ranges(settings)
    _check_width("consensus", settings, multiple_of=math.lcm(2, settings.n_heads))
    _check_choice("consensus.combination", settings.combination, COMBINATIONS)
    for strength in settings.strengths:
        if not 0 < strength <= 1:
            raise InputError(f"`consensus.strengths` must be above 0 and at most 1, got {strength}")
    for family in settings.families:
        try:
            family_named(family)
        except InputError as error:
            raise InputError(f"`consensus.families`: {error}") from error
    with _under("naturalness", config.naturalness):
        check_ranges(config.naturalness)


def _check_improve(config: Config) -> None:
    from agents.registry import ALGORITHMS

    settings = config.improve
    with _under("improve", settings):
        check_ranges(settings)
    register_own_code(settings.code)
    if not settings.algorithms:
        known = ", ".join(ALGORITHMS.find())
        raise InputError(f"`improve.algorithms` must be at least one of {known}, got none")
    for name, choices in _CHOICES.items():
        _check_choice(f"improve.{name}", getattr(settings, name), choices)
    check_reward(settings.reward)
    for name in settings.algorithms:
        ALGORITHMS.load(name, setting="improve.algorithms")
    from agents.common.checks import (  # torch
        check_divergence,
        check_episodes,
        check_shares,
        check_temperature,
    )

    _check_distillation(settings)
    _check_chunk_credit(settings)
    with _under("improve", settings):
        check_episodes(
            n_episodes=settings.n_episodes, samples_per_utterance=settings.samples_per_utterance
        )
        check_temperature(settings.temperature)
        check_shares(reference_averaging=settings.reference_averaging)
        check_divergence(
            kl_coef=settings.kl_coef,
            reference_kl_target=settings.reference_kl_target or None,
            target_kl=None,
            loss_mean="token",
        )


def _check_chunk_credit(settings: ImproveConfig) -> None:
    """Check the settings of credit by chunk."""
    from agents.common.credit import CHUNK, check_credit
    from agents.common.spread import check_spread_coef
    from agents.registry import ALGORITHMS, takes

    for name in settings.chunk_credit:
        kind = ALGORITHMS.load(name, setting="improve.chunk_credit")
        if name == "distillation" or not takes(kind, "credit"):
            raise InputError(
                f"`improve.chunk_credit` must be algorithms that take `credit`, got {name!r}"
            )
    with _under("improve", settings):
        check_credit(CHUNK, settings.chunk_discount, settings.look_ahead_chunks)
        if settings.chunk_credit:
            check_spread_coef(settings.spread_coef, settings.samples_per_utterance)


def _check_distillation(settings: ImproveConfig) -> None:
    """Check the settings of distillation, and that they go together with those of all."""
    from agents.common.checks import check_episodes

    with _under("improve.distillation", settings.distillation):
        settings.distillation.check()
    if "distillation" not in settings.algorithms:
        return
    if settings.stream_advantages == "on":
        raise InputError(
            "`improve.stream_advantages` must be `auto` or `off` with the algorithm "
            "`distillation`, which has no advantages, got on"
        )
    distillation = settings.distillation
    if distillation.answers_iterations >= distillation.iterations:
        raise InputError(
            "`improve.distillation.answers_iterations` must be below `iterations` "
            f"({distillation.iterations}), got {distillation.answers_iterations}; set it to 0 for "
            "few iterations"
        )
    with _under("improve.distillation", distillation):
        check_episodes(
            n_episodes=distillation.n_episodes,
            samples_per_utterance=distillation.filled().samples_per_utterance,
        )


def _check_evaluate(config: Config) -> None:
    from esarm_env.face.loaders import OWN_HEAD, open_head

    register_own_code(own_rewards(config.improve))
    with _under("evaluate", config.evaluate):
        check_ranges(config.evaluate)
    _check_temperatures(config.evaluate.temperatures)
    if config.evaluate.head != OWN_HEAD:
        try:
            open_head(config.evaluate.head)
        except InputError as error:
            raise InputError(f"`evaluate.head`: {error}") from error


def _check_temperatures(temperatures: tuple[float, ...]) -> None:
    """Check that temperatures are above 0, each once, and 1, which always is, not among them."""
    for number, temperature in enumerate(temperatures):
        twice = temperature in temperatures[:number]
        if not 0 < temperature < math.inf or temperature == 1 or twice:
            raise InputError(
                "`evaluate.temperatures` must be above 0 and finite, each once, and other than 1, "
                f"which is always there, got {list(temperatures)}"
            )


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

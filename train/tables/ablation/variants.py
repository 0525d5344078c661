"""Variants of a run that `esarm ablate` compares: what each changes, as data.

A variant says settings and whose animations are measured. From which stage on it is worked follows
from the settings (`first_changed`): all earlier stages are the run's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.core.plugins import did_you_mean
from esarm_env.core.run_layout import STAGES
from train.rows import EXPECTED, GREEDY, SAMPLED, TOKENIZER
from train.run.config import SECTION_OF_RECIPE, make_config, to_dict
from train.run.run_folder import differences

if TYPE_CHECKING:
    from pathlib import Path

    from train.run.config import Config

OURS = "{ours}"  # stands for the run's first algorithm, in settings and as a policy
CLONE = "clone"
UNCHANGED = "unchanged"
BEST_OF = 16  # samples that best-of-n chooses from


@dataclass(frozen=True)
class Variant:
    """One change of a run.

    Attributes:
        name: On the command line, and of its folder.
        about: What is changed, for the table.
        settings: `KEY=VALUE`, as `--set` takes them; `{ours}` stands for the run's first algorithm.
        policy: Whose animations are measured: `{ours}`, an algorithm, `clone`, or `tokenizer`,
            which are the recordings through it.
        decoding: Of these animations, the one that is held against the unchanged run.
        best_of: So many samples are drawn and the one of highest reward kept; 0 for none.
        missing: Why this cannot be had here; empty where it can.
    """

    name: str
    about: str
    settings: tuple[str, ...] = ()
    policy: str = OURS
    decoding: str = EXPECTED
    best_of: int = 0
    missing: str = ""

    def stage(self) -> str:
        """Return the first stage that reads one of the settings; empty if none has to be worked."""
        places = [STAGES.index(stage_of(each.partition("=")[0])) for each in self.settings]
        if self.policy not in (OURS, CLONE, TOKENIZER):
            places.append(STAGES.index("improve"))
        return STAGES[min(places)] if places else ""

    @property
    def quick(self) -> bool:
        """Whether nothing before the stage `improve` is worked again."""
        return not self.missing and self.stage() in ("", "improve")


THE_RUN = Variant(UNCHANGED, "the run as it is")

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("without-rl", "the clone, before any improvement", policy=CLONE),
        Variant(
            "without-expected-distance", "the run, decoded greedily instead", decoding=GREEDY
        ),
        Variant(
            "terminal-credit",
            "every token answers for the whole score",
            ("improve.chunk_credit=[]",),
        ),
        Variant(
            "chunk-credit",
            "every token answers for what its chunk and later ones earn",
            (f"improve.chunk_credit=[{OURS}]",),
        ),
        Variant(
            "one-advantage",
            "mouth and upper face share one advantage",
            ("improve.stream_advantages=off",),
        ),
        *(
            Variant(f"kl-{weight}", f"divergence from the clone weighs {weight}",
                    (f"improve.kl_coef={weight}",))
            for weight in ("0.03", "0.1", "0.3", "1")
        ),
        *(
            Variant(name, f"improved by {title}", policy=name)
            for name, title in (
                ("ppo", "PPO"),
                ("reinforce", "REINFORCE"),
                ("grpo", "GRPO"),
                ("distillation", "distillation"),
            )
        ),
        Variant(
            "best-of-n",
            f"the clone; of {BEST_OF} samples the one of highest reward",
            policy=CLONE,
            decoding=SAMPLED,
            best_of=BEST_OF,
        ),
        Variant("recipe-paper", "reward from ranks of noise levels alone", ("recipe=paper",)),
        Variant("recipe-consensus", "reward from the clone's own samples", ("recipe=consensus",)),
        Variant("members-1", "one reward network, no ensemble", ("consensus.members=1",)),
        Variant("members-3", "an ensemble of three reward networks", ("consensus.members=3",)),
        Variant(
            "without-disentangling",
            "no cross-reconstruction and no adversary in the speech encoder",
            ("encoder.cross_coef=0", "encoder.adversary_coef=0"),
        ),
        Variant(
            "one-stream",
            "one stream of tokens for the whole face",
            missing="tokenizer, advantages and rewards are built on two streams, mouth and upper",
        ),
        *(
            Variant(
                f"floor-{count}",
                f"recordings through a tokenizer of {count} codebooks a stream",
                (f"prior.mouth_codebooks={count}", f"prior.upper_codebooks={count}"),
                policy=TOKENIZER,
                decoding=TOKENIZER,
            )
            for count in (2, 3, 4)
        ),
    )
}  # fmt: skip
PRESETS = ("all", "quick")


def chosen_variants(only: Sequence[str], preset: str) -> list[Variant]:
    """Return the variants that a user asked for, in the order of `VARIANTS`.

    Args:
        only: Names; none stands for all of the preset.
        preset: `all`, or `quick`: those that nothing before the stage `improve` is worked for.

    Raises:
        InputError: If a name is unknown, or both are given.
    """
    if preset not in PRESETS:
        raise InputError(f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}")
    if only and preset != "all":
        raise InputError(f"`preset` must be left out beside `only`, got {preset!r}")
    for name in only:
        if name not in VARIANTS:
            hint = did_you_mean(name, VARIANTS)
            raise InputError(f"`only` must be among {', '.join(VARIANTS)}, got {name!r}{hint}")
    return [
        variant
        for name, variant in VARIANTS.items()
        if (name in only if only else preset == "all" or variant.quick)
    ]


def stage_of(key: str) -> str:
    """Return the stage that reads the setting `key` first; `seed` is read by the first to learn."""
    section = key.partition(".")[0]
    if section in STAGES:
        return section
    if section in ("recipe", *SECTION_OF_RECIPE.values(), "naturalness"):
        return "reward"
    return STAGES[1]


def first_changed(keys: Iterable[str]) -> str:
    """Return the first stage that reads one of the settings `keys`; empty if there is none."""
    places = [STAGES.index(stage_of(key)) for key in keys]
    return STAGES[min(places)] if places else ""


def policy_of(variant: Variant, config: Config) -> str:
    """Return whose animations a variant of a run shows: an algorithm, `clone` or `tokenizer`."""
    return variant.policy.replace(OURS, config.improve.algorithms[0])


def config_of(variant: Variant, config_file: Path, config: Config) -> Config:
    """Return the settings of a variant: the run's own with its changes, one algorithm alone.

    Args:
        variant: What is changed.
        config_file: Of the run.
        config: The same, read.

    Raises:
        InputError: If the run cannot have them, for instance those of another recipe.
    """
    settings = [each.replace(OURS, config.improve.algorithms[0]) for each in variant.settings]
    policy = policy_of(variant, config)
    if policy not in (CLONE, TOKENIZER):
        settings.append(f"improve.algorithms=[{policy}]")
    return make_config(preset="demo", file=config_file, overrides=settings)


def changes(variant: Variant, config_file: Path, config: Config) -> list[str]:
    """Return the full keys of the settings that a variant changes, but for the algorithms.

    Raises:
        InputError: As `config_of`.
    """
    made = to_dict(config_of(variant, config_file, config))
    return [key for key in differences(to_dict(config), made) if key != "improve.algorithms"]

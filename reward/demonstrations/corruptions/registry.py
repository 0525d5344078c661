"""Registry of corruption families, and the training set when some are held out."""

from __future__ import annotations

from collections.abc import Iterable

from esarm_env.core.errors import InputError
from esarm_env.core.types import STREAMS, UPPER
from reward.demonstrations.corruptions.curves import (
    blend,
    frozen_span,
    over_amplification,
    over_smoothing,
    repetition,
    shuffled_audio,
    time_shift,
    wrong_emotion,
    wrong_intensity,
)
from reward.demonstrations.corruptions.family import (
    BOTH,
    ChooseSetting,
    DamageMotion,
    DamageTokens,
    Family,
    MotionFamily,
    PolicyFamily,
    TokenFamily,
)
from reward.demonstrations.corruptions.tokens import (
    mixed_chunks,
    neighbour_codes,
    policy_emotion,
    policy_intensity,
    random_codes,
    temperature,
)


def _about(act: object) -> str:
    return (act.__doc__ or "").splitlines()[0]


def _motion(name: str, act: DamageMotion, *, donor: str = "", partner: bool = False) -> Family:
    return MotionFamily(name, BOTH, _about(act), partner, donor, act)


def _tokens(name: str, act: DamageTokens, *, partner: bool = False) -> Family:
    return TokenFamily(name, BOTH, _about(act), partner, "", act)


def _policy(name: str, act: ChooseSetting, *, donor: str = "") -> Family:
    return PolicyFamily(name, BOTH, _about(act), False, donor, act)


_OTHER_UPPER = MotionFamily(
    "other-upper",
    frozenset({UPPER}),
    "Show another utterance's upper face over a growing stretch.",
    False,
    "sentence",
    shuffled_audio,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        _tokens("neighbour-codes", neighbour_codes),
        _tokens("random-codes", random_codes),
        _tokens("mixed-chunks", mixed_chunks, partner=True),
        _policy("temperature", temperature),
        _policy("policy-emotion", policy_emotion, donor="emotion"),
        _policy("policy-intensity", policy_intensity, donor="intensity"),
        _motion("time-shift", time_shift),
        _motion("frozen-span", frozen_span),
        _motion("repetition", repetition),
        _motion("over-smoothing", over_smoothing),
        _motion("over-amplification", over_amplification),
        _motion("blend", blend, partner=True),
        _motion("wrong-emotion", wrong_emotion, donor="emotion"),
        _motion("wrong-intensity", wrong_intensity, donor="intensity"),
        _motion("shuffled-audio", shuffled_audio, donor="sentence"),
        _OTHER_UPPER,
    )
}


def register_family(family: Family, *, replace: bool = False) -> None:
    """Let a family of your own be asked for by its name, in this process.

    Demonstrations damaged by it can be made again only where it is registered.

    Args:
        family: A `MotionFamily`, `TokenFamily` or `PolicyFamily`.
        replace: Whether a name that is taken may be taken over.

    Raises:
        InputError: If the name is taken, empty, or holds a colon.
    """
    if not family.name or ":" in family.name:
        raise InputError(f"`family.name` must be a name without a colon, got {family.name!r}")
    if family.name in FAMILIES and not replace:
        raise InputError(f"`family.name` must be free, got {family.name!r}; or pass `replace=True`")
    FAMILIES[family.name] = family


def family_named(name: str) -> Family:
    """Return a family: `time-shift`, or confined to a stream: `mouth:time-shift`.

    Raises:
        InputError: If there is none of that name, or it does not damage that stream.
    """
    stream, colon, plain = name.rpartition(":")
    if plain not in FAMILIES or (colon and stream not in STREAMS):
        raise InputError(
            f"a corruption family must be one of {', '.join(FAMILIES)}, alone or behind "
            f"{' or '.join(f'`{stream}:`' for stream in STREAMS)}, got {name!r}"
        )
    if not colon:
        return FAMILIES[plain]
    try:
        return FAMILIES[plain].only(stream)
    except ValueError as error:
        raise InputError(str(error)) from error


def families_without(*held_out: str, among: Iterable[str] = tuple(FAMILIES)) -> tuple[str, ...]:
    """Return the names in `among` that are left for training.

    Holding out a family holds out its versions for one stream, and the other way round: whoever
    has seen the mouth shifted in time knows what a time shift looks like.

    Raises:
        InputError: If a name is unknown.
    """
    plain = {family_named(name).name.rpartition(":")[2] for name in held_out}
    return tuple(n for n in among if family_named(n).name.rpartition(":")[2] not in plain)

"""Other people's names of emotions."""

from __future__ import annotations

from esarm_env.types import EMOTIONS

# What an emotional take has whose corpus does not grade; as RAVDESS's "normal".
UNSTATED_INTENSITY = 2

_ALIASES = {
    "anger": "angry",
    "disgust": "disgusted",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}


def emotion_of(name: str) -> str | None:
    """Return the one of `EMOTIONS` that `name` means in any case or usual form, or None.

    >>> emotion_of("Anger")
    'angry'
    """
    name = name.strip().lower()
    name = _ALIASES.get(name, name)
    return name if name in EMOTIONS else None


def unstated_intensity(emotion: str) -> int:
    """Return the intensity of a take whose corpus does not tell it."""
    return 1 if emotion == "neutral" else UNSTATED_INTENSITY

# ruff: noqa: RUF001 - IPA
"""Phone classes: IPA symbols grouped by what lips, jaw and tongue do for them.

The recogniser tells 189 symbols of many languages apart, of which a language uses some 40; most of
the others stay near zero, and which of [p], [pʰ] and a Korean [p͈] it was cannot be seen. Frame-wise
regression of the mouth's opening from the classes is as good as from all tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

BLANK, WORD_BOUNDARY = "<blank>", "<wb>"

# Sounds that no symbol here names (tones, length, digits) count in no class.
PHONE_CLASSES: dict[str, str] = {
    "bilabial stop": "p pʰ p͈ b ɓ ʙ",
    "bilabial nasal": "m",
    "labiodental": "f v ɱ ʋ ɸ β",
    "dental": "θ ð",
    "alveolar stop": "t tʰ t͈ d ʈ ɖ ɗ ɾ ɽ",
    "coronal nasal": "n ɲ ɴ",
    "sibilant": "s s͈ z ɕ ʑ ʂ ʐ ẑ ɮ",
    "postalveolar": "ʃ ʒ t͡ʃ d͡ʒ t͡ɕ t͡ɕʰ t͡ɕ͈ ç",
    "lateral": "l ɫ ʎ",
    "rhotic": "r ɹ ɻ ʀ ʁ",
    "velar": "k kʰ k͈ c g ɡ ɟ x ɣ χ",
    "velar nasal": "ŋ",
    "glottal": "h ɦ ħ ʔ",
    "rounded glide": "w wa we wi wʌ",
    "palatal glide": "j ja je jo ju jʌ ɥ ʝ ɰ",
    "close front": "i ɪ ì ĩ ǐ ɪə",
    "mid front": "e ɛ ẽ ɘ eə",
    "mid front diphthong": "eɪ",
    "near-open front": "æ",
    "open": "a ä ɐ ɑ ɒ à ã å",
    "mid back rounded": "ɔ o oʊ õ ɤ",
    "close back": "u ʊ ũ ʉ ɯ ɯi ɨ",
    "central": "ʌ ə ɜ ɵ ᵊ",
    "rhotic vowel": "ɚ ɝ ˞",
    "open to front": "aɪ",
    "open to back": "aʊ",
    "back to front": "ɔɪ",
    "front rounded": "y ø œ ʏ",
    "word boundary": WORD_BOUNDARY,
    "blank": BLANK,
}
N_CLASSES = len(PHONE_CLASSES)
BILABIALS = frozenset(
    symbol for name in ("bilabial stop", "bilabial nasal") for symbol in PHONE_CLASSES[name].split()
)


def class_matrix(tokens: Sequence[str]) -> FloatArray:
    """Return which token is in which class, shape (len(tokens), N_CLASSES), 0 or 1.

    Raises:
        ValueError: If a symbol of the table is no token.
    """
    place = {token: index for index, token in enumerate(tokens)}
    matrix = np.zeros((len(tokens), N_CLASSES), dtype=np.float32)
    for column, symbols in enumerate(PHONE_CLASSES.values()):
        for symbol in symbols.split():
            if symbol not in place:
                raise ValueError(f"`tokens` must hold every symbol of the classes, not {symbol!r}")
            matrix[place[symbol], column] = 1
    return matrix

"""Licences and terms of what a run was trained on, as far as they are known; no legal advice.

Our code and everything that we made are under the MIT licence. Speech of the synthetic corpora was
spoken by espeak-ng, a program under the GPL; recordings of people have the terms of whoever
recorded them, and none of them ships with us.
"""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.run_layout import WAVLM_FILE
from esarm_env.core.shipped import MANIFEST_FILE

OURS = "MIT"
RECORDINGS_LICENCE = "terms-of-the-recordings"  # as the front matter of a card calls it

SYNTHETIC = """\
Trained on ESARM's synthetic data alone. That data's faces, and ESARM itself, are under the MIT
licence, and so are these weights unless whoever trained them says otherwise. Its speech was spoken
by espeak-ng, a program under the GPL, version 3 or later.

- Known: section 2 of that licence covers the output of a program only if the output itself, by its
  content, is a work based on the program. No code of espeak-ng is in this folder or in ESARM.
- Not known: espeak-ng plays short recordings of its own for consonants without voice, so its speech
  holds pieces of its data. We know of no statement by its authors about the speech that it makes,
  and of no court that decided on it, or on weights that were trained on such speech."""

_LIST = MANIFEST_FILE
SHIPPED_CARD = f"""\
# What ships with ESARM

A run folder in small: tokenizer, speech encoder, cloned policy and reward model, trained on the
synthetic corpus `synthetic-mead`, with matrices in half precision, and `synthetic-mini/`, some of
that corpus' utterances. Figures, versions and hashes are in `{_LIST}`; `make assets` makes all
of it anew. Nobody's voice or face is in it: espeak-ng spoke, and a rule model moved the face.

## Licence

{SYNTHETIC}

`synthetic-mini/speech.opus` is such speech itself.
"""

_ANY = """\
These weights were trained on recordings of people, and carry the terms of those recordings, which
we do not know: ask whoever recorded them before you pass the weights on or sell what they make.
Whether weights are a work derived from what they were trained on is not settled. ESARM itself is
under the MIT licence."""

SPEECH = """\
The policy also learned from speech without recorded motion: its terms count, too."""

WAVLM = """\
Audio features are WavLM's (Chen et al. 2022), whose weights have a licence of their own, see the
page they are published on{there}."""


@dataclass(frozen=True)
class Terms:
    """Terms of a published corpus.

    Attributes:
        name: The corpus.
        text: What its authors ask, in a sentence.
    """

    name: str
    text: str

    @property
    def not_commercial(self) -> bool:
        """Whether they forbid commercial use."""
        return "not commercial" in self.text


# By layout, as `esarm corpus` recognises it.
PUBLISHED = {
    "mead": Terms("MEAD (Wang et al. 2020)", "published for research; see its own page"),
    "ravdess": Terms("RAVDESS (Livingstone and Russo 2018)", "CC BY-NC-SA 4.0: not commercial"),
    "beat": Terms("BEAT (Liu et al. 2022)", "CC BY-NC 4.0: not commercial"),
    "vocaset": Terms("VOCASET (Cudeiro et al. 2019)", "for science alone, not commercial"),
    "3d-etf": Terms(
        "3D-ETF (Peng et al. 2023)", "made from RAVDESS (CC BY-NC-SA 4.0) and HDTF: not commercial"
    ),
}


def licence_text(*, layout: str | None, speech: bool, encoder: str, has_wavlm: bool) -> str:
    """Return what the card says of licences.

    Args:
        layout: Of the folder of recordings that the run was trained on; None of our own corpora.
        speech: Whether the policy also learned from speech alone.
        encoder: Name of the audio encoder.
        has_wavlm: Whether fine-tuned weights of WavLM are among the files.
    """
    parts = [SYNTHETIC if layout is None else _recorded(layout)]
    if speech:
        parts.append(SPEECH)
    if encoder.startswith("wavlm"):
        there = f"; those in `{WAVLM_FILE}` were made from them" if has_wavlm else ""
        parts.append(WAVLM.format(there=there))
    return "\n\n".join(parts)


def _recorded(layout: str) -> str:
    terms = PUBLISHED.get(layout)
    if terms is None:
        return _ANY
    return (
        f"The recordings lay as those of {terms.name} do. If that is what they are, their terms "
        f"are: {terms.text}.\n\n{_ANY}"
    )

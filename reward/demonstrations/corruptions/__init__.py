"""Ways of making an animation worse, each in degrees, each under a name.

- `context`: inputs of a corruption: the task, the utterance, and donor animations.
- `curves`: corruptions of motion curves: timing, smoothing, amplitude, and parts of other
  animations.
- `family`: base class of corruption families: one kind of damage, graded by a strength.
- `registry`: registry of corruption families, and the training set when some are held out.
- `tokens`: corruptions of tokens, and roll-outs under another temperature, emotion or intensity.

| family | level | damage at strength 1 |
|---|---|---|
| `neighbour-codes` | tokens | every token is one of the four nearest codes |
| `random-codes` | tokens | every token is random (D-REX's noise after the fact) |
| `mixed-chunks` | tokens | all chunks are those of the partner (same audio) |
| `temperature` | policy | sampled at temperature 2 |
| `policy-emotion`, `policy-intensity` | policy | asked for a wrong emotion, intensity |
| `time-shift` | motion | 0.4 s too early or too late |
| `frozen-span` | motion | one pose all the time |
| `repetition` | motion | one third of a second to a second, over and over |
| `over-smoothing` | motion | Gaussian of a third of a second |
| `over-amplification` | motion | three times the deviation from the mean pose |
| `blend` | motion | the partner (same audio) |
| `wrong-emotion`, `wrong-intensity` | motion | expression of such a recording, words kept |
| `shuffled-audio` | motion | another sentence's motion |
| `other-upper` | motion | another sentence's upper face |

`mouth:NAME` and `upper:NAME` confine the damage to one stream. `register_family` adds one's own.
"""

from reward.demonstrations.corruptions.context import Context, Donors, RollOut
from reward.demonstrations.corruptions.family import (
    Family,
    MotionFamily,
    PolicyFamily,
    TokenFamily,
    row_rng,
)
from reward.demonstrations.corruptions.registry import (
    FAMILIES,
    families_without,
    family_named,
    register_family,
)

__all__ = [
    "FAMILIES",
    "Context",
    "Donors",
    "Family",
    "MotionFamily",
    "PolicyFamily",
    "RollOut",
    "TokenFamily",
    "families_without",
    "family_named",
    "register_family",
    "row_rng",
]

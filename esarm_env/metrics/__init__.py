"""Metrics of facial animation; each figure says which of the field's definitions it follows.

- `variant`: a metric's exact definition (region, reduction, power, centring, unit) and its label.
- `presets`: the variants that published systems report as LVE and EVE.
- `vertex_error`: LVE and EVE on coefficients, and vertex error on meshes of any topology.
- `dynamics`: upper-face dynamics deviation (FDD) and jerk.
- `mouth`: lip opening in mm, its correlation, and speech-lip intensity correlation (SLCC).
- `closure`: F1 of mouth closures.
- `samples`: energy score, diversity, mean and best of several samples.
- `emotion`: accuracy of an emotion classifier trained on recorded motion, and the order of
  intensities.
- `suite`: all metrics that need the prediction and the ground truth alone.
- `table`: plain and Markdown tables.
- `region`, `inputs`: what they share: displacements of a region's vertices, checked batches.

Figures are per utterance, shape (B,), with padding masked by `lengths` and channels a corpus never
measured by `captured`; what is then not defined is nan.
"""

from esarm_env.metrics.closure import (
    ClosureCounts,
    bilabial_closures,
    closed_share,
    closure_events,
)
from esarm_env.metrics.dynamics import (
    face_dynamics_deviation,
    face_dynamics_deviation_of_meshes,
    jerk,
)
from esarm_env.metrics.emotion import (
    EMOTION_ACCURACY,
    INTENSITY_ORDER,
    EmotionAccuracy,
    EmotionClassifier,
    IntensityJudge,
    intensity_order,
)
from esarm_env.metrics.mouth import (
    SLCC,
    audio_rms,
    lip_pairs,
    lip_speed,
    mouth_opening,
    opening_correlation,
    speech_lip_correlation,
)
from esarm_env.metrics.presets import PRESETS, Preset, preset
from esarm_env.metrics.samples import (
    DIVERSITY,
    EnergyParts,
    best_of_errors,
    diversity,
    diversity_of_meshes,
    energy_parts,
    energy_quantity,
    energy_score,
    error_of_mean,
    mean_of_errors,
    sample_errors,
    samples_quantity,
)
from esarm_env.metrics.suite import STANDARD_VARIANTS, measure, quantities
from esarm_env.metrics.table import table
from esarm_env.metrics.variant import Quantity, Variant, variant_label
from esarm_env.metrics.vertex_error import (
    emotional_vertex_error,
    lip_vertex_error,
    pooled_mean,
    vertex_error,
    vertex_error_of_meshes,
    vertex_errors,
)

__all__ = [
    "DIVERSITY",
    "EMOTION_ACCURACY",
    "INTENSITY_ORDER",
    "PRESETS",
    "SLCC",
    "STANDARD_VARIANTS",
    "ClosureCounts",
    "EmotionAccuracy",
    "EmotionClassifier",
    "EnergyParts",
    "IntensityJudge",
    "Preset",
    "Quantity",
    "Variant",
    "audio_rms",
    "best_of_errors",
    "bilabial_closures",
    "closed_share",
    "closure_events",
    "diversity",
    "diversity_of_meshes",
    "emotional_vertex_error",
    "energy_parts",
    "energy_quantity",
    "energy_score",
    "error_of_mean",
    "face_dynamics_deviation",
    "face_dynamics_deviation_of_meshes",
    "intensity_order",
    "jerk",
    "lip_pairs",
    "lip_speed",
    "lip_vertex_error",
    "mean_of_errors",
    "measure",
    "mouth_opening",
    "opening_correlation",
    "pooled_mean",
    "preset",
    "quantities",
    "sample_errors",
    "samples_quantity",
    "speech_lip_correlation",
    "table",
    "variant_label",
    "vertex_error",
    "vertex_error_of_meshes",
    "vertex_errors",
]

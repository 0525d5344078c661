"""Speech in: reading files, cutting at pauses, and the features a policy hears."""

from esarm_env.audio.loading import read_audio
from esarm_env.audio.pauses import cut_at_pauses

__all__ = ["cut_at_pauses", "read_audio"]

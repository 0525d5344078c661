"""Speech audio: file reading, splitting at pauses, and frame-level features.

- `loading`: any sound or video file as 16 kHz mono samples, or an error that says what is wrong.
- `sound_files`: sound files by libsndfile, in blocks.
- `sound_parts`, `mp3_frames`, `flac_frames`: joined parts, and lengths that headers do not tell.
- `sized_sounds`, `sample_heads`: samples whose bytes a header counts (WAV, RF64, CAF, AU, ...).
- `video_sound`: sound tracks of video and AAC files, decoded with PyAV.
- `mixing`: blocks of any rate and channels to mono at 16 kHz.
- `pauses`: loudness, and splitting of long recordings at their quietest moments.
- `features`: encoders from samples to features at 30 fps, by name (log-mel, phones, WavLM).
- `encoders`: those of pretrained networks, and phone times of recordings.
- `store`: the memory-mapped cache of a corpus' features.
"""

from esarm_env.audio.loading import read_audio
from esarm_env.audio.pauses import cut_at_pauses

__all__ = ["cut_at_pauses", "read_audio"]

"""Suffixes of sound and video files: the one table that every reader and every scan asks.

A suffix only says that a file is worth opening, and which of several files of a take is preferred;
what reads it is told by its content (`esarm_env.audio.loading`). Headerless samples (`.raw`,
`.pcm`) are no file that can be read without being told rate and width, so they do not stand here.
"""

from __future__ import annotations

# The order is the order of preference where one take has several.
SOUND_SUFFIXES = tuple(
    ".wav .flac .m4a .mp3 .ogg .wave .bwf .rf64 .w64 .aif .aiff .aifc .caf .au .snd .sph .opus "
    ".oga .weba .aac .m4b .mka .mp2 .wma .amr .3ga .ac3".split()
)
VIDEO_SUFFIXES = tuple(
    ".mp4 .m4v .mov .mkv .webm .avi .qt .3gp .3g2 .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv".split()
)
# Those that no version of libsndfile reads, whatever lies in them.
FFMPEG_SUFFIXES = frozenset(VIDEO_SUFFIXES) | frozenset(
    ".m4a .m4b .aac .mka .weba .wma .amr .3ga .ac3".split()
)

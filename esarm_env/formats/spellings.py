"""The one table of spellings: suffixes, folders, columns and keys of motion, and name forms.

Names are compared by `plain` (columns, keys) or `name_form` (files, folders, takes). Names of the
52 shapes stand in `esarm_env.face.names`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence

# The order is the order of preference where one take has several.
MOTION_SUFFIXES = (".npy", ".npz", ".csv", ".json", ".jsonl", ".ndjson")
MOTION_FOLDERS = frozenset({"blendshape", "blendshapes", "arkit", "motion", "bs", "facs"})
# What else motion is kept in, which no reader reads, and what to do with it.
PACKED_SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys(".gz .bgz .z .gzip".split(), "unpack it with gunzip"),
    **dict.fromkeys(".bz2 .xz .lzma .zst .zstd .lz4 .br .sz".split(), "decompress it"),
    **dict.fromkeys(".zip .tar .tgz .tbz2 .txz .7z .rar".split(), "unpack it"),
}
TEXT_SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys(".txt .tsv .tab .dat .asc .text".split(), "rename it to end in .csv"),
    **dict.fromkeys(".yaml .yml .xml .toml .log".split(), "convert it to .json or .csv"),
}
_TO_CONVERT = "convert it to .npz, .npy, .csv or .json"
UNREAD_SUFFIXES: Mapping[str, str] = {
    **PACKED_SUFFIXES,
    **TEXT_SUFFIXES,
    **dict.fromkeys(".xlsx .xls .xlsm .xlsb .ods .numbers".split(), "save it as .csv"),
    **dict.fromkeys(
        """.pkl .pickle .joblib .dill .mat .parquet .feather .arrow .h5 .hdf5 .hdf .nc .zarr .pt
        .pth .safetensors .msgpack .bson .cbor .pb .tfrecord .bin .rds .rdata .sqlite
        .npyz""".split(),
        _TO_CONVERT,
    ),
    **dict.fromkeys(
        """.fbx .bvh .glb .gltf .usd .usda .usdc .usdz .abc .blend .ma .mb .anim .uasset .c3d .vmd
        .vrma .mot .trc .xaf""".split(),
        "export its curves, with the names of the shapes, as .csv, .json or .npz",
    ),
}

# Columns and keys of time by `plain` name, and the factor to seconds.
TIME_NAMES: Mapping[str, float] = {
    **dict.fromkeys(
        """times time t timestamp timestamps timesec timesecs timeseconds timeinseconds sec secs
        seconds timestampsec timestampsecs timestampseconds timestampinseconds timestampsinseconds
        elapsed elapseds elapsedtime datetime clock""".split(),
        1.0,
    ),
    **dict.fromkeys(
        """timems timestampms timeinms ms millis milliseconds timemillis timemilliseconds
        timestampmillis timestampmilliseconds elapsedms""".split(),
        1e-3,
    ),
    **dict.fromkeys("timeus timestampus us micros microseconds timemicroseconds".split(), 1e-6),
    **dict.fromkeys("timens timestampns ns nanos nanoseconds timenanoseconds".split(), 1e-9),
}
# Those of them that say no unit: what they count in shows in the rate of the frames.
TIMES_WITHOUT_UNIT = frozenset(
    "times time t timestamp timestamps elapsed elapsedtime datetime clock timecode".split()
)
# HH:MM:SS:FF in a Live Link Face recording, seconds in Audio2Face's tables.
TIMECODE_NAME = "timecode"
RATE_NAMES = tuple(
    """ratehz fps framerate frameratehz framespersecond exportfps rate hz samplerate sampleratehz
    samplingrate samplingratehz samplingfrequency frequency framefrequency framespersec capturefps
    capturerate videofps motionfps targetfps targetframerate""".split()
)
# The same as the time from one frame to the next, in seconds or (as it shows) in milliseconds.
PERIOD_NAMES = frozenset(
    "dt deltat deltatime timestep frametime frameduration frameinterval sampleperiod".split()
)
# Those of them that a file may mean its sound by.
SOUND_RATE_NAMES = frozenset(
    "samplerate sampleratehz samplingrate samplingratehz samplingfrequency rate hz".split()
)
SLOWEST_SOUND_HZ = 4_000
QUALITY_NAME = "quality"
# Columns that name the take or its file, by `plain` name; the first that a table has is meant.
TAKE_NAMES = tuple(
    """id file takeid clipid utteranceid uttid recordingid fileid filename filepath path
    relativepath audiopath audiofile audiofilename audio wav wavpath wavfile wavname soundfile
    sound videopath videofile video motionfile motionpath clip take utterance utt recording stem
    basename clipname takename name key""".split()
)
# Columns that programs add beside the shapes, not worth a note.
BOOKKEEPING = frozenset(
    """frame frames framenumber frameindex frameid framecount index row blendshapecount
    unnamed0 level0""".split()
) | {""}
NAME_KEYS = frozenset(
    """names facsnames shapenames blendshapenames channelnames columnnames channels
    columns blendshapelocations""".split()
)
VALUE_KEYS = frozenset(
    """values value motion blendshapes blendshape coefficients weights weightmat curves scores
    categories faceblendshapes blendshapeweights arkit bs facs blendshapevalues""".split()
)
UNNAMED_ARRAY = "arr_0"  # what NumPy calls an array that was saved without a name
_TOLD_NAMES, _SHOWN_LETTERS = 8, 40  # of columns in a note
_LONGEST_NAME = 80  # longer ones are none of these
FRAME_KEYS = frozenset(
    "frames keyframes framedata animation samples data records rows sequence".split()
)


def plain(name: str) -> str:
    """Return a column's or key's name in small letters and digits alone.

    >>> plain("Time (ms)"), plain("BlendShapeCount")
    ('timems', 'blendshapecount')
    """
    return _plain(name) if len(name) <= _LONGEST_NAME else name


@functools.lru_cache(maxsize=8192)  # the keys of every frame of a JSON file
def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def keys_called(keys: Iterable[str], known: Container[str]) -> list[str]:
    """Return those of `keys` whose `plain` name is among `known`, in their order."""
    return [key for key in keys if plain(key) in known]


def note_on_others(
    others: Sequence[str], *, what: str = "columns that are no shapes"
) -> tuple[str, ...]:
    """Return the note on what is left out, by name; programs' bookkeeping needs none."""
    told = [name[:_SHOWN_LETTERS] for name in others if plain(name) not in BOOKKEEPING]
    if not told:
        return ()
    more = f" and {len(told) - _TOLD_NAMES} more" if len(told) > _TOLD_NAMES else ""
    return (f"{what} left out: {', '.join(told[:_TOLD_NAMES])}{more}",)


def name_form(name: str) -> str:
    """Return what names share that look the same: Unicode form, case and outer spaces left out.

    Args:
        name: Of a file, a folder or a take; parts of a path are parted by `/`.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "/".join(part.strip() for part in folded.split("/"))


def printable(text: str) -> str:
    """Return a text in one line that no terminal obeys: names of files may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def difference(one: str, other: str) -> str:
    """Return in words how two names of one `name_form` differ."""
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return "in their Unicode form"
    if one.casefold() == other.casefold():
        return "in case"
    return "in case, spaces or Unicode form"

"""Sound that ends before its file says, though what is there can be read: it is told."""

from __future__ import annotations

import io
import re
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.audio.loading import measure_audio, read_audio
from esarm_env.core.errors import InputError
from esarm_env.corpus.folder import FolderCorpus

RATE_HZ = 16_000
NO_LAST_PAGE = "ends early: the page that ends its stream is missing, as in a copy that stopped"


def speech(duration_s: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(round(duration_s * RATE_HZ))
    return (0.1 * noise).clip(-0.9, 0.9).astype(np.float32)


def encoded(kind: str, duration_s: float, **options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, speech(duration_s), RATE_HZ, format=kind, **options)
    return file.getvalue()


def told(path: Path) -> tuple[list[str], float]:
    """Return the warnings of measuring and reading a file, and the seconds that are read."""
    found = []
    for read in (measure_audio, read_audio):
        with pytest.warns(RuntimeWarning) as caught:
            result = read(path)
        found += [str(each.message) for each in caught]
    return found, len(result) / RATE_HZ  # type: ignore[arg-type]


def pages(data: bytes) -> list[bytes]:
    """Return the pages of an Ogg file."""
    starts = [each.start() for each in re.finditer(b"OggS", data)]
    return [data[begin:end] for begin, end in zip(starts, [*starts[1:], None], strict=True)]


def test_an_mp3_of_fewer_frames_than_it_states_is_told(tmp_path: Path) -> None:
    """A download that stopped: 2 of 4 s were read without a word."""
    path = tmp_path / "a.mp3"
    data = encoded("MP3", 4.0)
    path.write_bytes(data[: len(data) // 2])
    messages, read_s = told(path)
    assert 1.5 < read_s < 2.5
    for message in messages:
        match = re.fullmatch(
            re.escape(f"{path}: ends early: ") + r"(\d\.\d\d) of the (\d\.\d\d) s that its header "
            r"states are there; copy or export it again", message
        )  # fmt: skip
        assert match is not None, message
        assert (float(match[1]), float(match[2])) == pytest.approx((read_s, 4.0), abs=0.2)
    assert len(messages) == 2


def test_an_mp3_with_the_other_kind_of_header_is_told(tmp_path: Path) -> None:
    """Fraunhofer's encoder states its frames in a header named VBRI."""
    path = tmp_path / "a.mp3"
    data = encoded("MP3", 3.0)
    first = data[: data.index(data[:2], 4)]
    n_frames = struct.unpack_from(">I", first, first.index(b"Xing") + 8)[0]
    vbri = b"VBRI\0\1\0\0\0\0" + struct.pack(">II", len(data), 2 * n_frames)
    frame = first[:4] + bytes(32) + vbri
    path.write_bytes(frame.ljust(len(first), b"\0") + data[len(first) :])
    messages, _ = told(path)
    assert "of the 6.1" in messages[0] or "of the 6.0" in messages[0]


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("n_lost", [1, -7])
def test_an_ogg_without_its_last_page_is_told(tmp_path: Path, codec: str, n_lost: int) -> None:
    """It states no length: that the last page is not the last is all there is to see."""
    path = tmp_path / "a.ogg"
    data = encoded("OGG", 4.0, subtype=codec)
    last = len(pages(data)[-1])
    path.write_bytes(data[: -last if n_lost == 1 else n_lost])
    messages, read_s = told(path)
    assert messages == [f"{path}: {NO_LAST_PAGE}; copy or export it again"] * 2
    assert read_s < 4.1


def test_each_link_of_an_ogg_has_a_last_page(tmp_path: Path) -> None:
    """The first of two joined files was cut; both end well in the second."""
    path = tmp_path / "a.ogg"
    data = encoded("OGG", 3.0, subtype="VORBIS")
    path.write_bytes(b"".join(pages(data)[:-1]) + data)
    messages, _ = told(path)
    assert messages == [f"{path}: {NO_LAST_PAGE}; copy or export it again"] * 2
    path.write_bytes(data * 2)
    assert measure_audio(path) == pytest.approx(6.0, abs=0.05)


def test_a_flac_that_was_cut_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Measured as whole, it would end a training when its turn comes."""
    path = tmp_path / "a.flac"
    data = encoded("FLAC", 4.0)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=re.escape(f"{path}: must be whole")):
        measure_audio(path)


def video(kind: str, codec: str, *, sound_s: float, pictures_s: float) -> bytes:
    """Return a video of 25 pictures a second, interleaved with its sound."""
    av = pytest.importorskip("av", reason="videos need the extra `video`")
    file = io.BytesIO()
    samples = np.tile(speech(1.0), 3 * round(sound_s))[None]  # at 48 kHz
    with av.open(file, "w", format=kind) as container:
        sound = container.add_stream(codec, rate=48_000, layout="mono")
        pictures = container.add_stream("mpeg4" if kind == "avi" else "vp8", rate=25)
        pictures.width = pictures.height = 32
        for number in range(round(25 * max(sound_s, pictures_s))):
            data = samples[:, 1920 * number : 1920 * (number + 1)].copy()
            if data.size:
                frame = av.AudioFrame.from_ndarray(data, format="fltp", layout="mono")
                frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
                frame.pts = 1920 * number
                container.mux(sound.encode(frame))
            if number < 25 * pictures_s:
                shown = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                shown.pts = number
                container.mux(pictures.encode(shown))
        container.mux(sound.encode())
        container.mux(pictures.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "codec", "message"),
    [
        ("webm", "libopus", r"ends early: 2\.\d\d of the 5\.0\d s that its header states are"),
        ("matroska", "pcm_s16le", r"ends early: 2\.\d\d of the 5\.0\d s that its header states"),
        ("avi", "pcm_s16le", r"ends early: \d+ of the \d+ bytes that its header states are there"),
    ],
)
def test_a_video_that_was_cut_is_told(tmp_path: Path, kind: str, codec: str, message: str) -> None:
    """Its packets were counted, and what its header says was not asked."""
    path = tmp_path / f"a.{kind}"
    data = video(kind, codec, sound_s=5, pictures_s=5)
    path.write_bytes(data[: len(data) // 2])
    messages, read_s = told(path)
    assert all(re.search(message, each) for each in messages), messages
    assert 2.0 < read_s < 3.0
    path.write_bytes(data)
    assert measure_audio(path) == pytest.approx(5.0, abs=0.05)


def test_sound_that_is_shorter_than_its_pictures_is_whole(tmp_path: Path) -> None:
    """The header tells the longer of the two."""
    path = tmp_path / "a.webm"
    path.write_bytes(video("webm", "libopus", sound_s=3, pictures_s=5))
    assert measure_audio(path) == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("verify", [False, True])
def test_a_corpus_lists_sound_that_ends_early(tmp_path: Path, verify: bool) -> None:
    """A take that is used all the same is told beside what was mended, and warns no more."""
    data = encoded("MP3", 4.0)
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.mp3").write_bytes(data[: len(data) // 2])
    (tmp_path / "audio" / "b.mp3").write_bytes(data)
    for _ in range(2):  # from the files, and from the index
        corpus = FolderCorpus(tmp_path, verify=verify)
        assert [take.id for take in corpus.takes] == ["a", "b"]
        (note,) = corpus.notes
        assert (note.source, note.reason[:11]) == ("a", "ends early:")
        assert corpus.read_take(0).audio.size

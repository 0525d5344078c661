"""A corpus of recordings in a folder: found, cut, split and read, take by take."""

from __future__ import annotations

import gc
import itertools
import re
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, SAMPLE_RATE_HZ, Utterance
from esarm_env.corpus import folder as folder_module
from esarm_env.corpus import survey as survey_module
from esarm_env.corpus.alignment import AlignedTake
from esarm_env.corpus.folder import FolderCorpus
from esarm_env.corpus.survey import LONGEST_S, SHORTEST_S, UNCUT_S
from esarm_env.face import ARKIT_NAMES

WriteTake = Callable[..., None]
Array = np.ndarray
RAMP_S = 64.0  # after which the motion of `ramp` is 1
STILL = [ARKIT_NAMES.index(name) for name in ("browInnerUp", "tongueOut")]
SPLITS = ("train", "validation", "test")


def times_of(utterance: Utterance) -> Array:
    """Return the time in its take that each frame of `ramp` tells, in seconds."""
    return utterance.motion[:, 0] * RAMP_S


@pytest.fixture
def root(three_takes: Path) -> Path:
    """Return a folder of three good takes of 3 s."""
    return three_takes


@pytest.fixture(scope="module")
def corpus(
    tmp_path_factory: pytest.TempPathFactory, write_take: WriteTake, ramp: Callable[..., Array]
) -> FolderCorpus:
    """Return two takes of 50 s and one short one, in two folders as 3D-ETF has them."""
    root = tmp_path_factory.mktemp("etf")
    for name, n_frames, seed in (
        ("RAVDESS/anna_1", 1500, 1), ("RAVDESS/anna_2", 70, 2), ("HDTF/ben_1", 1500, 3)
    ):  # fmt: skip
        part, stem = name.split("/")
        motion = ramp(n_frames)
        motion[:, STILL] = 0.25
        write_take(root / part, stem, duration_s=n_frames / 30, motion=motion, seed=seed)
    return FolderCorpus(root)


def test_pieces_hold_their_own_stretch_of_the_take(corpus: FolderCorpus) -> None:
    """Audio of one piece beside the motion of another is what no shape would show."""
    seen: dict[str, list[float]] = {}
    for index in range(len(corpus)):
        utterance, record = corpus[index], corpus.records[index]
        take, _, begin = record.id.rpartition("-")
        assert utterance.record is record
        np.testing.assert_allclose(
            times_of(utterance), (int(begin) + np.arange(record.n_frames)) / 30, atol=1e-4
        )
        assert (record.emotion, record.intensity, record.text) == ("neutral", 1, None)
        assert record.speaker == take.partition("/")[2].partition("_")[0]
        seen.setdefault(take, []).extend((times_of(utterance) * 30).round().tolist())
    lengths = {"HDTF/ben_1": 1500, "RAVDESS/anna_1": 1500, "RAVDESS/anna_2": 70}
    assert seen == {take: list(range(n_frames)) for take, n_frames in lengths.items()}
    long = [record.n_frames for record in corpus.records if "anna_2" not in record.id]
    assert SHORTEST_S * 30 - 1 <= min(long) and max(long) <= LONGEST_S * 30 + 1


@pytest.mark.parametrize("fps", [25.0, 60.0])
def test_pieces_of_other_frame_rates_hold_their_stretch(
    fps: float, tmp_path: Path, write_take: WriteTake
) -> None:
    """Cut before the motion is at 30 fps, every piece but the first would be another's."""
    write_take(tmp_path, "anna_1", duration_s=20, fps=fps, kind=".npz")
    corpus = FolderCorpus(tmp_path)
    assert len(corpus) > 3
    told = np.concatenate([times_of(corpus[index]) for index in range(len(corpus))])
    np.testing.assert_allclose(told[:-2], np.arange(598) / 30, atol=1e-3)


def test_audio_stays_beside_its_motion(tmp_path: Path, write_take: WriteTake) -> None:
    """A drift of one sample a piece is 100 ms after an hour."""
    write_take(tmp_path, "anna_1", duration_s=50)
    corpus = FolderCorpus(tmp_path)
    whole, _ = soundfile.read(tmp_path / "audio" / "anna_1.wav", dtype="float32")
    joined = np.concatenate([corpus[index].audio for index in range(len(corpus))])
    np.testing.assert_array_equal(joined, whole)
    for index, record in enumerate(corpus.records):
        begin = round(int(record.id[-5:]) / 30 * SAMPLE_RATE_HZ)
        np.testing.assert_array_equal(corpus[index].audio[:100], whole[begin : begin + 100])


@pytest.mark.parametrize(("duration_s", "is_cut"), [(UNCUT_S, False), (UNCUT_S + 0.1, True)])
def test_only_takes_longer_than_a_sentence_are_cut(
    duration_s: float, is_cut: bool, tmp_path: Path, write_take: WriteTake
) -> None:
    """Sentences that a corpus already cut must stay whole; longer ones fill the memory."""
    write_take(tmp_path, "anna_1", duration_s=duration_s)
    records = FolderCorpus(tmp_path).records
    assert (len(records) > 1) == is_cut
    assert all(1 <= record.n_frames / 30 <= 8 for record in records)


def test_ids_name_one_utterance_each(corpus: FolderCorpus) -> None:
    """`reset(options={"utterance": id})` takes the first that matches."""
    assert len({record.id for record in corpus.records}) == len(corpus)


def test_equal_names_in_two_folders_have_two_ids(tmp_path: Path, write_take: WriteTake) -> None:
    """Corpora put side by side often number their files from 1."""
    for folder in ("RAVDESS", "HDTF"):
        write_take(tmp_path / folder, "001")
    records = FolderCorpus(tmp_path).records
    assert [record.id for record in records] == ["HDTF/001-00000", "RAVDESS/001-00000"]


def test_an_id_holds_no_more_of_the_path_than_it_needs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id that names the user's disk would be another one on the next machine."""
    ids = [record.id for record in FolderCorpus(root).records]
    assert ids == ["anna_1-00000", "anna_2-00000", "ben_1-00000"]
    monkeypatch.chdir(root)
    here = FolderCorpus(".")
    assert [record.id for record in here.records] == ids
    assert here.content_hash == FolderCorpus(root.parent / "." / root.name).content_hash


@pytest.fixture
def cut_takes(tmp_path: Path, write_take: WriteTake) -> FolderCorpus:
    """Return two takes of 20 s that tell one story in two emotions."""
    for seed, name in enumerate(("anna_1", "anna_2")):
        write_take(tmp_path, name, duration_s=20, seed=seed)
    table = "id,emotion,text\nanna_1,happy,A long story.\nanna_2,sad,A long story.\n"
    (tmp_path / "metadata.csv").write_text(table)
    return FolderCorpus(tmp_path)


def test_pieces_of_cut_takes_are_not_parallel(cut_takes: FolderCorpus) -> None:
    """The first words of one take would be swapped with the last ones of another."""
    assert cut_takes.parallel_groups() == []


def test_no_piece_of_a_cut_take_claims_the_whole_text(cut_takes: FolderCorpus) -> None:
    """Four seconds of speech beside the words of twenty."""
    assert {record.text for record in cut_takes.records} == {None}


def test_splits_share_no_utterance_and_lose_none(corpus: FolderCorpus) -> None:
    """Test utterances in training make every number in the paper too good."""
    parts = [corpus.split(name).tolist() for name in SPLITS]
    assert all(parts), "takes of 50 s must fill every split"
    assert sorted(itertools.chain(*parts)) == list(range(len(corpus)))


def test_an_unknown_split_is_rejected(corpus: FolderCorpus) -> None:
    """`KeyError: 'dev'` does not say which splits there are."""
    message = "`split` must be one of train, validation, test, got 'dev'"
    with pytest.raises(InputError, match=re.escape(message)):
        corpus.split("dev")


def test_official_splits_are_kept(root: Path) -> None:
    """Results on other splits cannot be compared with anybody's."""
    table = "id,split\nanna_1,test\nanna_2,train\nben_1,validation\n"
    (root / "metadata.csv").write_text(table)
    corpus = FolderCorpus(root)
    assert [corpus.split(name).tolist() for name in SPLITS] == [[1], [2], [0]]
    assert corpus.split_rule == "official"


def test_still_channels_are_not_captured(corpus: FolderCorpus) -> None:
    """Brows that the recorder never measured would count as a perfect prediction of rest."""
    assert corpus.captured.dtype == np.bool_
    assert np.flatnonzero(~corpus.captured).tolist() == sorted(STILL)
    np.testing.assert_array_equal(corpus[0].captured, corpus.captured)


def test_a_channel_that_moves_in_one_take_is_captured(
    root: Path, write_take: WriteTake, ramp: Callable[..., Array]
) -> None:
    """Tongues move in few takes."""
    for name in ("anna_1", "anna_2", "ben_1"):
        motion = ramp(90)
        motion[:, -1] *= name == "ben_1"
        write_take(root, name, motion=motion)
    assert FolderCorpus(root).captured.all()


def test_channels_that_a_file_lacks_are_not_captured(
    tmp_path: Path, speech: Callable[..., Array]
) -> None:
    """Zeros that stand in for a missing column must not be learned as rest."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "blendshape").mkdir()
    soundfile.write(tmp_path / "audio" / "a.wav", speech(1.0), SAMPLE_RATE_HZ)
    rows = [f"{frame / 30:.4f},{frame / 40}" for frame in range(30)]
    (tmp_path / "blendshape" / "a.csv").write_text("\n".join(["time_s,jawOpen", *rows]))
    captured = FolderCorpus(tmp_path).captured
    assert [ARKIT_NAMES[i] for i in np.flatnonzero(captured)] == ["jawOpen"]


def test_motion_is_clipped_to_its_range(tmp_path: Path, write_take: WriteTake) -> None:
    """ARKit's smoothing overshoots by a few per cent; the tokenizer counts on [0, 1]."""
    overshooting = np.linspace(-0.05, 1.05, 90)[:, None].repeat(N_CHANNELS, axis=1)
    write_take(tmp_path, "anna_1", motion=overshooting)
    motion = FolderCorpus(tmp_path)[0].motion
    assert motion.dtype == np.float32
    assert (motion.min(), motion.max()) == (0, 1)


def test_utterances_of_one_sentence_in_two_emotions_are_parallel(root: Path) -> None:
    """Cross-reconstruction swaps what such pairs differ in."""
    table = (
        "id,emotion,text\nanna_1,happy,Where is it?\nanna_2,sad,where is it\n"
        "ben_1,sad,Where is it?\n"
    )
    (root / "metadata.csv").write_text(table)
    (group,) = FolderCorpus(root).parallel_groups()
    assert group.tolist() == [0, 1]


def test_a_folder_of_sound_alone_is_a_corpus_without_motion(root: Path) -> None:
    """RAVDESS comes without motion; the reward model and `esarm capture` still need its speech."""
    for path in (root / "blendshape").iterdir():
        path.unlink()
    corpus = FolderCorpus(root)
    assert [record.n_frames for record in corpus.records] == [90, 90, 90]
    assert not corpus.captured.any()
    utterance = corpus[0]
    assert utterance.motion.shape == (90, N_CHANNELS) and not utterance.motion.any()
    assert np.abs(utterance.audio[-100:]).max() > 0
    assert len(corpus.content_hash) == 64


def test_content_and_nothing_else_decides_the_hash(
    tmp_path: Path,
    write_take: WriteTake,
    ramp: Callable[..., Array],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Features and tokenizers are cached under it: a change that it misses meets stale ones."""
    tables = {
        "emotion": "id,emotion\nanna_1,sad\n",
        "text": "id,text\nanna_1,Hello.\n",
        "speaker": "id,speaker\nanna_1,ben\n",
        "split": "id,split\nanna_1,train\nanna_2,test\n",
    }
    hashes = {}
    for change in ("none", "moved", "motion", "audio", "offset", "name", "cut", *tables):
        root = tmp_path / change
        motion = ramp(90)
        motion[50, 3] += 0.001 * (change == "motion")
        write_take(root, "anna_1", motion=motion, seed=int(change == "audio"))
        write_take(root, "anna_3" if change == "name" else "anna_2", seed=5)
        if change in tables:
            (root / "metadata.csv").write_text(tables[change])
        if change == "offset":
            (root / "offsets.csv").write_text("id,offset_s\nanna_1,0.1\n")
        with monkeypatch.context() as patch:
            if change == "cut":
                patch.setattr(survey_module, "UNCUT_S", 2.0)
                patch.setattr(survey_module, "LONGEST_S", 2.0)
                patch.setattr(survey_module, "SHORTEST_S", 0.5)
            hashes[change] = FolderCorpus(root).content_hash
            assert FolderCorpus(root).content_hash == hashes[change], f"{change}: not of the run"
            verified = FolderCorpus(root, verify=True).content_hash
            assert verified == hashes[change], f"{change}: not of the way it was opened"
    assert hashes["moved"] == hashes["none"], "another folder with equal content is the same corpus"
    assert len(set(hashes.values())) == len(hashes) - 1


@pytest.mark.parametrize("part", ["cuts", "splits"])
def test_cuts_and_splits_are_part_of_the_hash(
    part: str, tmp_path: Path, write_take: WriteTake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal number, they leave every shape as it was."""
    hashes = []
    for name, middle, labels in (("a", 100_000, [0, 1, 2, 0]), ("b", 120_000, [0, 2, 1, 0])):
        edges = np.array([0, middle if part == "cuts" else 100_000, 160_000])
        tiled = np.stack([edges[:-1], edges[1:]], axis=1)
        split = np.array(labels if part == "splits" else [0, 1, 2, 0])
        monkeypatch.setattr(survey_module, "cut_at_pauses", lambda audio, tiled=tiled, **_: tiled)
        monkeypatch.setattr(
            folder_module, "choose_splits", lambda split=split, **_: (split, "drawn by the test")
        )
        for seed in range(2):
            write_take(tmp_path / name, f"anna_{seed}", duration_s=10, seed=seed)
        corpus = FolderCorpus(tmp_path / name)
        assert len(corpus) == 4
        hashes.append(corpus.content_hash)
    assert hashes[0] != hashes[1]


def test_a_hash_is_made_once(root: Path, sounds_read: list[str]) -> None:
    """Every start of every stage asks for it."""
    first = FolderCorpus(root).content_hash
    sounds_read.clear()
    assert FolderCorpus(root).content_hash == first
    assert sounds_read == []


def test_a_verified_corpus_has_its_hash_at_once(root: Path, sounds_read: list[str]) -> None:
    """Thirty thousand takes would be read twice."""
    corpus = FolderCorpus(root, verify=True)
    sounds_read.clear()
    assert len(corpus.content_hash) == 64
    assert FolderCorpus(root).content_hash == corpus.content_hash
    assert sounds_read == []


def test_an_interrupted_hash_goes_on_where_it_was(
    root: Path, sounds_read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty thousand takes are read for it, in half an hour."""
    corpus = FolderCorpus(root)
    read = FolderCorpus.read_take

    def interrupt(self: FolderCorpus, number: int) -> AlignedTake:
        if number == 2:
            raise KeyboardInterrupt("by the test")
        return read(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(FolderCorpus, "read_take", interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
            assert corpus.content_hash
    sounds_read.clear()
    assert FolderCorpus(root).content_hash
    assert sounds_read == ["ben_1.wav"]


def test_opening_again_reads_no_sound(root: Path, sounds_read: list[str]) -> None:
    """Thirty thousand headers over a network take minutes."""
    records = FolderCorpus(root).records
    assert sounds_read == ["anna_1.wav", "anna_2.wav", "ben_1.wav"]
    sounds_read.clear()
    again = FolderCorpus(root)
    assert again.records == records
    assert sounds_read == []


def test_no_sound_is_read_whole_before_it_is_wanted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`records` of a corpus must cost no audio."""

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a sound was decoded")

    monkeypatch.setattr("esarm_env.audio.loading._mixed", refuse)
    assert len(FolderCorpus(root).records) == 3


def test_a_changed_file_is_looked_at_again(
    root: Path, write_take: WriteTake, sounds_read: list[str]
) -> None:
    """A repaired or cut recording would be read with the old length for ever."""
    before = FolderCorpus(root)
    old_hash = before.content_hash
    sounds_read.clear()
    write_take(root, "anna_2", duration_s=2.0, seed=9)
    after = FolderCorpus(root)
    assert sounds_read == ["anna_2.wav"]
    assert [record.n_frames for record in after.records] == [90, 60, 90]
    assert after.content_hash != old_hash


def test_a_repaired_take_comes_back(root: Path, write_take: WriteTake) -> None:
    """What was left out once must not stay out when its owner exports it again."""
    path = root / "blendshape" / "anna_2.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert len(FolderCorpus(root)) == 2
    write_take(root, "anna_2", seed=1)
    corpus = FolderCorpus(root)
    assert (len(corpus), corpus.faults) == (3, ())


def test_takes_that_come_and_go_are_noticed(root: Path, write_take: WriteTake) -> None:
    """An index that only grows would open files that are gone."""
    assert len(FolderCorpus(root)) == 3
    (root / "audio" / "anna_1.wav").unlink()
    (root / "blendshape" / "anna_1.npy").unlink()
    write_take(root, "cleo_1")
    records = FolderCorpus(root).records
    assert [record.speaker for record in records] == ["anna", "ben", "cleo"]


def test_few_takes_are_held_in_memory(root: Path, write_take: WriteTake) -> None:
    """A corpus of thirty thousand clips must stream in constant memory."""
    for number in range(5):
        write_take(root, f"dora_{number}", seed=10 + number)
    corpus = FolderCorpus(root)
    held = [weakref.ref(corpus.read_take(number)) for number in range(len(corpus.takes))]
    gc.collect()
    assert [take() is not None for take in held] == [False] * 6 + [True] * 2


def test_pieces_of_one_take_read_it_once(
    tmp_path: Path, write_take: WriteTake, sounds_read: list[str]
) -> None:
    """Each of the 500 pieces of an hour would decode the hour."""
    write_take(tmp_path, "anna_1", duration_s=30)
    write_take(tmp_path, "anna_2", seed=1)
    corpus = FolderCorpus(tmp_path)
    assert corpus.captured.all()
    sounds_read.clear()
    for index in range(len(corpus)):
        corpus[index]
    assert len(sounds_read) <= 2


def test_indices_count_from_the_end_too(root: Path) -> None:
    """As in any sequence; another one's record beside it would go unseen."""
    corpus = FolderCorpus(root)
    assert corpus[-1].record is corpus.records[2]
    np.testing.assert_array_equal(corpus[-3].audio, corpus[0].audio)
    (number,) = corpus.split("test")[:1]
    assert corpus[number].record is corpus.records[number]


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_rejected(index: int, root: Path) -> None:
    """`for utterance in corpus` ends by it."""
    corpus = FolderCorpus(root)
    with pytest.raises(IndexError, match=re.escape(f"`index` must be in 0..2, got {index}")):
        corpus[index]
    assert len([utterance.record for utterance in corpus]) == 3  # type: ignore[attr-defined]

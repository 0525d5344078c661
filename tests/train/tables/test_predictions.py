"""Predictions of other systems: every format, and what does not fit is refused by name."""

import json
import re
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import Record
from esarm_env.face.names import ARKIT_NAMES, ORDERS
from train.tables.predictions import (
    load_predictions,
    read_prediction,
    read_predictions,
    save_predictions,
)

N_FRAMES = 30
IDS = ("S1_a", "deep/er b.1", ".hidden", "S4_d")


@pytest.fixture
def corpus():
    """Four utterances of a second, of which only the records are read."""
    records = tuple(Record(name, "S", "neutral", 1, None, N_FRAMES) for name in IDS)
    return SimpleNamespace(records=records)


def motion(seed=0, n_frames=N_FRAMES):
    """Return slow curves in [0, 1], shape (T, 52)."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6, 52), rng.uniform(0.5, 2, 52)
    time_s = np.arange(n_frames)[:, None] / 30
    return (0.5 + 0.4 * np.sin(phase + speed * time_s)).astype(np.float32)


EVERY = np.arange(len(IDS))


def test_what_is_saved_is_read_again_whatever_the_ids_are(tmp_path, corpus):
    """An id with a slash or a leading dot would else be lost, or written elsewhere."""
    motions = [motion(seed) for seed in EVERY]
    save_predictions(tmp_path / "p", IDS, motions)
    found = load_predictions(tmp_path / "p", corpus, EVERY)
    assert sorted(found) == [0, 1, 2, 3]
    assert all(np.array_equal(found[i], motions[i]) for i in EVERY.tolist())
    assert len(list((tmp_path / "p").iterdir())) == 4
    save_predictions(tmp_path / "half", IDS, motions, dtype=np.float16)
    halved = load_predictions(tmp_path / "half", corpus, EVERY)
    assert max(np.abs(halved[i] - motions[i]).max() for i in EVERY.tolist()) < 5e-4
    with pytest.raises(InputError, match=re.escape("got (30, 51) for S1_a")):
        save_predictions(tmp_path / "p", IDS[:1], [motion()[:, :51]])
    with pytest.raises(InputError, match=re.escape("one for each of 4 ids, got 1")):
        save_predictions(tmp_path / "p", IDS, motions[:1])


def test_a_bad_file_costs_its_own_utterance_and_is_told(tmp_path, corpus):
    """One broken export must not cost the scores of all others."""
    save_predictions(tmp_path, IDS[:1], [motion()])
    (tmp_path / "S4_d.npy").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no motion")
    save_predictions(tmp_path, ["of another corpus"], [motion()])
    found = read_predictions(tmp_path, corpus, EVERY)
    assert list(found.motions) == [0]
    assert len(found.faults) == 1 and "S4_d.npy" in found.faults[0]
    assert found.missing == IDS[1:] and found.others == ("of another corpus.npy",)
    assert found.faulty == ("S4_d",) and found.absent == IDS[1:3]
    assert found.not_read == ("notes.txt",)
    with pytest.warns(UserWarning, match=re.escape("S4_d.npy")):
        assert list(load_predictions(tmp_path, corpus, EVERY)) == [0]


def test_two_files_of_an_utterance_are_refused(tmp_path, corpus):
    """Which of them was meant cannot be known."""
    save_predictions(tmp_path, IDS[:1], [motion()])
    (tmp_path / "S1_a.json").write_text("[]")
    found = read_predictions(tmp_path, corpus, EVERY)
    assert found.faults == ("S1_a: must have one file of motion, got S1_a.json and S1_a.npy",)


def test_a_folder_of_other_names_is_refused_with_an_example(tmp_path, corpus):
    """A wrong corpus must not look like a system that animates nothing."""
    with pytest.raises(InputError, match="must be a folder of predictions"):
        read_predictions(tmp_path / "none", corpus, EVERY)
    with pytest.raises(InputError, match="got no file of motion"):
        read_predictions(tmp_path, corpus, EVERY)
    save_predictions(tmp_path, ["x"], [motion()])
    with pytest.raises(
        InputError, match=re.escape("(as %2Ehidden.npy), got 1 files of other names (x.npy)")
    ):
        read_predictions(tmp_path, corpus, EVERY)


def test_another_length_is_refused_with_both_numbers(tmp_path):
    """Frames beside the recording's would be scored as errors of the system."""
    path = tmp_path / "S1_a.npy"
    np.save(path, motion(n_frames=60))
    said = f"{path}: must have 30 frames at 30 fps like the recording, got 60; it states no rate"
    with pytest.raises(InputError, match=re.escape(said) + ".*`--fps` gives another"):
        read_prediction(path, n_frames=N_FRAMES)
    with pytest.raises(InputError, match=re.escape("got 36 (60 at 50 fps); export it")):
        read_prediction(path, n_frames=N_FRAMES, fps=50.0)
    np.save(path, motion(n_frames=32))
    assert np.array_equal(read_prediction(path, n_frames=30)[0], motion(n_frames=32)[:30])
    np.save(path, motion(n_frames=28))
    shorter = read_prediction(path, n_frames=30)[0]
    assert shorter.shape == (30, 52) and np.array_equal(shorter[29], shorter[27])


def test_another_frame_rate_is_resampled_where_it_is_told(tmp_path):
    """At 60 fps every second frame is the recording's; at a wrong rate none is."""
    fast = motion(n_frames=120)[:60]  # one second of slow curves, at 60 fps
    path = tmp_path / "S1_a.npy"
    np.save(path, fast)
    values = read_prediction(path, n_frames=30, fps=60.0)[0]
    assert np.abs(values[2:-2] - fast[::2][2:-2]).max() < 0.01
    header = ",".join(["time", *ARKIT_NAMES])
    rows = [",".join(map(str, [i / 60, *row])) for i, row in enumerate(fast)]
    table = tmp_path / "S4_d.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    assert np.abs(read_prediction(table, n_frames=30)[0] - values).max() < 1e-4
    with pytest.raises(InputError, match=re.escape("25 fps, got 60 by its own times")):
        read_prediction(table, n_frames=30, fps=25.0)


def test_json_of_beat_is_read_by_name(tmp_path):
    """BEAT and LAM write frames of weights under a list of names."""
    names = list(reversed(ARKIT_NAMES))
    frames = [
        {"weights": row[::-1].tolist(), "time": i / 60} for i, row in enumerate(motion(n_frames=60))
    ]
    path = tmp_path / "S1_a.json"
    path.write_text(json.dumps({"names": names, "frames": frames}))
    values = read_prediction(path, n_frames=30)[0]
    assert np.abs(values[2:-2] - motion(n_frames=60)[::2][2:-2]).max() < 0.01


def glb(path, values, names, *, rate_hz=60, **changes):
    """Write a `.glb` file that animates one mesh with these targets."""
    times = (np.arange(len(values)) / rate_hz).astype("<f4").tobytes()
    weights = np.ascontiguousarray(values, "<f4").tobytes()
    document = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{}], "extras": {"targetNames": names}}],
        "animations": [
            {
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
                "samplers": [{"input": 0, "output": 1, **changes}],
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(values), "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": values.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(times)},
            {"buffer": 0, "byteOffset": len(times), "byteLength": len(weights)},
        ],
        "buffers": [{"byteLength": len(times) + len(weights)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(times + weights), 0x004E4942) + times + weights
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)


def test_an_animated_glb_is_read_by_the_names_of_its_targets(tmp_path):
    """Blender's order of shape keys is the artist's, and its keys may be at 60 fps."""
    fast = motion(n_frames=120)[:60]
    path = tmp_path / "S1_a.glb"
    glb(path, fast[:, ::-1], list(reversed(ARKIT_NAMES)))
    values = read_prediction(path, n_frames=30)[0]
    assert np.abs(values[2:-2] - fast[::2][2:-2]).max() < 0.01
    glb(path, fast, list(ARKIT_NAMES), interpolation="CUBICSPLINE")
    with pytest.raises(InputError, match="got CUBICSPLINE keys; sample the animation"):
        read_prediction(path, n_frames=30)
    glb(path, fast[:, :2], ["one", "two"])
    with pytest.raises(InputError, match="got no animation of morph targets with ARKit names"):
        read_prediction(path, n_frames=30)


def test_the_order_of_channels_is_by_name_or_as_given(tmp_path, corpus):
    """Unreal's 52 columns read in alphabetical order would be another face."""
    path = tmp_path / "S1_a.npy"
    truth = motion()
    np.save(path, truth[:, [ARKIT_NAMES.index(_arkit(name)) for name in ORDERS["unreal"]]])
    assert np.array_equal(read_prediction(path, n_frames=30, order="unreal")[0], truth)
    np.save(path, truth[:, :40])
    with pytest.raises(InputError, match=re.escape("must have 52 columns in alphabetical")):
        read_prediction(path, n_frames=30)
    with pytest.raises(InputError, match=re.escape("'unreal', got float32 of shape (30, 40)")):
        read_prediction(path, n_frames=30, order="unreal")
    with pytest.raises(InputError, match="`--order` must be one of alphabetical"):
        read_predictions(tmp_path, corpus, EVERY, order="mine")
    with pytest.raises(InputError, match="names its channels itself; leave `--order` out"):
        read_prediction(tmp_path / "S1_a.csv", n_frames=30, order="unreal")


def _arkit(name):
    """Return our spelling of Unreal's."""
    return next(each for each in ARKIT_NAMES if each.lower() == name.lower())


def test_arrays_without_the_tongue_are_taken_and_told_once(tmp_path, corpus):
    """A system that drops another channel would be scored as another face."""
    for name in (IDS[0], IDS[3]):
        np.save(tmp_path / f"{name}.npy", motion()[:, :51])
    found = read_predictions(tmp_path, corpus, EVERY)
    assert found.notes == ("51 channels in 2 files: taken as all but tongueOut",)
    assert np.array_equal(found.motions[0][:, :51], motion()[:, :51])
    assert not found.motions[0][:, 51].any()
    assert read_predictions(tmp_path, corpus, EVERY, order="beat").notes == ()


def test_faults_are_listed_by_file_name_and_say_what_is_cut_short(tmp_path, corpus):
    """A list in the order of a split is searched for each file; NumPy's words help nobody."""
    save_predictions(tmp_path, IDS[:1], [motion()])
    whole = (tmp_path / "S1_a.npy").read_bytes()
    for name, size in (("S4_d", 60), ("deep%2Fer b.1", 0), ("%2Ehidden", len(whole) - 9)):
        (tmp_path / f"{name}.npy").write_bytes(whole[:size])
    found = read_predictions(tmp_path, corpus, EVERY)
    files = ["%2Ehidden.npy", "S4_d.npy", "deep%2Fer b.1.npy"]
    assert [fault.partition(": ")[0] for fault in found.faults] == [
        str(tmp_path / name) for name in files
    ]
    assert "got a file that is cut short" in found.faults[1]
    assert "EOF" not in " ".join(found.faults)

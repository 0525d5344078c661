"""HeadAudio as a peer: visemes to curves, its package found, and what is said when it is not."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError, MissingProgramError
from esarm_env.face.names import index_of
from train.bench.headaudio import VISEMES, headaudio_folder, shown, viseme_curves, viseme_values

if TYPE_CHECKING:
    from pathlib import Path

AA, PP, SIL = (VISEMES.index(name) for name in ("aa", "PP", "sil"))
PROCESSOR = """
class Processor {
  constructor(options, worklet) { this.rate = options.sampleRate; this.port = worklet.port; }
  _onmessage(message) { this.model = message.data.model; }
  process(samples) {
    if (samples.length === 1) throw new Error("too short");
    const t = samples.length / this.rate;
    this.port.postMessage({ event: "viseme", t, viseme: this.model[0] });
    this.port.postMessage({ event: "ended", t: samples[0] });
  }
}
export { Processor };
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the npm package, whose model is a viseme's number."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not there")
    modules, dist = tmp_path / "modules", tmp_path / "dist"
    modules.mkdir()
    dist.mkdir()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (modules / "processor.mjs").write_text(PROCESSOR)
    (modules / "parameters.mjs").write_text(
        "export const RECORD_OFFSET = 4; export const RECORD_LEN = 1;"
    )
    (modules / "training.mjs").write_text(
        "export class Training { decodeBinaryRecord(record) { return record[0]; } }"
    )
    (dist / "model-en-mixed.bin").write_bytes(np.array([PP], dtype="<f4").tobytes())
    monkeypatch.setenv("ESARM_HEADAUDIO", str(tmp_path))
    return tmp_path


def test_a_viseme_rises_while_it_is_the_latest_and_falls_afterwards() -> None:
    """Three frames up to its highest value, held, three down; the mouth at rest is all zero."""
    values = shown([(1 / 30, PP), (6 / 30, AA), (10 / 30, -1)], 20)
    assert values.shape == (20, 15)
    assert values[:, PP].argmax() == 3
    np.testing.assert_allclose(values[3:6, PP], 0.75, atol=1e-6)
    np.testing.assert_allclose(values[8:10, AA], 0.65, atol=1e-6)
    np.testing.assert_allclose(values[8:, PP], 0, atol=1e-6)
    assert not values[13:].any()
    assert not shown([(0.0, SIL)], 5).any()


def test_visemes_become_curves_by_the_table_of_the_other_peer() -> None:
    """A wrong column would move another part of the mouth."""
    pytest.importorskip("openfacefx")
    values = np.zeros((1, 15), dtype=np.float32)
    values[0, AA] = 0.5
    curves = viseme_curves(values, gain=2.0)
    assert curves[0, index_of("jawOpen")] == pytest.approx(0.6)
    assert curves[0, index_of("tongueOut")] == 0
    assert viseme_curves(values, gain=9.0).max() == 1


def test_without_the_other_peer_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is not in its npm package."""
    monkeypatch.setitem(sys.modules, "openfacefx", None)
    message = "showing visemes as ARKit curves needs `openfacefx`: run `pip install 'esarm[peers]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        viseme_curves(np.zeros((1, 15), dtype=np.float32))


@pytest.mark.usefixtures("package")
def test_samples_reach_the_processor_as_they_are_and_events_come_back_by_recording() -> None:
    """Times are seconds, whatever order Node reads its files in."""
    audios = [np.full(n, t, dtype=np.float32) for n, t in ((1600, 0.29), (3200, 0.19))]
    first, second = viseme_values(audios, [12, 8])
    assert first.shape == (12, 15)
    assert second.shape == (8, 15)
    np.testing.assert_array_equal(first[:, PP] > 0, [*[False] * 3, *[True] * 8, False])
    np.testing.assert_array_equal(second[:, PP] > 0, [False] * 8)  # ended as it began


@pytest.mark.usefixtures("package")
def test_an_error_in_node_is_said_in_one_line() -> None:
    """A peer that died must not pass for one that is silent."""
    with pytest.raises(InputError, match="HeadAudio failed in Node"):
        viseme_values([np.zeros(1, dtype=np.float32)], [3])


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table shows this as a row that was skipped."""
    monkeypatch.setenv("ESARM_HEADAUDIO", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    told = f"HeadAudio is not in {tmp_path}: `npm install @met4citizen/headaudio`"
    with pytest.raises(MissingProgramError, match=re.escape(told)):
        headaudio_folder()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingProgramError, match="no `node` is on the path"):
        headaudio_folder()

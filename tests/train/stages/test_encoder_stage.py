"""Stage `encoder`: what policies hear through, where it is looked up, and runs without one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from agents.baselines import Regressor
from agents.weights import load_policy
from esarm_env import open_speech
from esarm_env.audio.encoders.tuned_wavlm import load_tuned_wavlm
from esarm_env.audio.features import LogMel, WavLM
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CORPUS_FILE, ENCODER_FILE, WAVLM_FILE
from esarm_env.core.types import EMOTIONS
from esarm_env.encoder.network import SpeechEncoder, load_speech_encoder
from esarm_env.task.emotion_choice import heard_mix, shares_by_name
from esarm_env.task.opening import EMOTIONS_KEY, open_task
from esarm_env.task.recording import open_speech_stream
from train.assets.builder import make_assets
from train.cli import main
from train.run.run_folder import RunFolder
from train.stages.encoder import run_encoder


@pytest.fixture(scope="module")
def task(finished_run: Path) -> Any:
    """Return the task of the finished run."""
    return open_task(finished_run)


def test_a_policy_hears_streams_and_audio(finished_run: Path, task: Any) -> None:
    """Looked up by utterance: streams first, the audio features behind them, chunk by chunk."""
    encoder = load_speech_encoder(finished_run / ENCODER_FILE)
    assert task.speech_encoder.content_hash() == encoder.content_hash()
    assert task.features.dim == encoder.dim == encoder.n_streams + 35
    assert encoder.shape.cut_voice_bar, "the run hears `logmel`"
    assert task.context == 0
    assert task.window_dim == task.tokenizer.frames_per_chunk * encoder.dim
    policy = load_policy(finished_run)
    assert policy.config.window_dim == task.window_dim


def test_saved_tokens_belong_to_an_encoder(finished_run: Path, task: Any) -> None:
    """Demonstrations of another encoder's policy are none of this one's."""
    assert task.fingerprint["speech_encoder"] == task.speech_encoder.content_hash()
    bare = replace(task, speech_encoder=None)
    assert "speech_encoder" not in bare.fingerprint


def test_the_regressor_is_a_row_of_the_report(finished_run: Path, task: Any) -> None:
    """Every run is held against the strongest simple baseline on its own data."""
    summary = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    rows = {row["label"]: row["figures"] for row in summary["rows"]}
    test = task.corpus.split("test")
    regressor = Regressor(task.speech_encoder)
    errors = [
        task.errors_of_motion(
            regressor.animate(task.features[int(i)], task.condition_of(np.array([i]))[0])[None],
            np.array([i]),
        )["lve"][0]
        for i in test
    ]
    assert rows["regressor"]["lve"][0] == pytest.approx(np.mean(errors), rel=1e-5)
    report = (finished_run / "report.md").read_text()
    assert "| regressor |" in report
    assert "## Policies against the regressor" in report
    against = {row["label"]: row["figures"] for row in summary["against_regressor"]}
    assert set(against) == {
        f"{policy}, {how}"
        for policy in ("clone", "ppo", "reinforce")
        for how in ("greedy", "expected distance")
    }
    clone = rows["clone, greedy"]["lve"][0] - rows["regressor"]["lve"][0]
    assert against["clone, greedy"]["lve"][0] == pytest.approx(clone, rel=1e-4, abs=1e-5)


def test_recordings_are_heard_as_the_corpus_is(
    finished_run: Path, task: Any, tmp_path: Path
) -> None:
    """The policy would otherwise animate speech that sounds like nothing it was trained on."""
    utterance = task.corpus[0]
    path = tmp_path / "speech.wav"
    soundfile.write(path, utterance.audio, 16_000, subtype="FLOAT")
    speech = open_speech(path, finished_run)
    assert len(speech.lengths) == 1
    heard = speech.audio_windows(np.array([0]))[0]
    known = task.windows_of(0)
    assert heard.shape[1] == known.shape[1]
    near = min(len(heard), len(known)) - 8  # the last chunks know the end, which may differ
    np.testing.assert_allclose(heard[:near], known[:near], atol=0.05)


def test_a_run_may_do_without(
    recordings: Path, tmp_path: Path, tiny_options: Callable[..., list[str]]
) -> None:
    """`encoder.epochs=0`: the policy hears the audio features themselves, with their context."""
    run = tmp_path / "run"
    tiny = tiny_options("encoder.epochs=0", f"corpus.name={recordings}")
    main(["corpus", "--run", str(run), *tiny])
    for stage in ("prior", "encoder", "clone"):
        main([stage, "--run", str(run)])
    assert not (run / ENCODER_FILE).exists()
    bare = open_task(run)
    assert bare.speech_encoder is None
    assert (bare.context, bare.features.dim) == (1, 35)
    assert load_policy(run).config.window_dim == 35 * 8 * 3


def test_a_run_that_was_cloned_without_goes_on_without(finished_run: Path, tmp_path: Path) -> None:
    """Its policies would otherwise meet windows of another width."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    shutil.rmtree(run / "encoder")
    done = run_encoder(RunFolder.open(run))
    assert done["epochs"] == 0
    assert not (run / "encoder").exists()


def test_rounds_take_the_encoder_along(finished_run: Path, tmp_path: Path) -> None:
    """The policy of a round hears through the run's own encoder."""
    from train.rounds.folders import begin_round

    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    opened = RunFolder.open(run)
    second = begin_round(opened, 2, before=opened)
    assert (second.path / ENCODER_FILE).read_bytes() == (run / ENCODER_FILE).read_bytes()


def test_the_voice_tells_the_emotion(finished_run: Path, tmp_path: Path, make_speech: Any) -> None:
    """It is shown as it is heard, and said with how sure that is."""
    audio = make_speech(3.0)
    finished_run = _trained_on(EMOTIONS, finished_run, tmp_path / "run")
    encoder = load_speech_encoder(finished_run / ENCODER_FILE)
    heard = open_speech(audio, finished_run, emotion="auto")
    emotions, intensities = encoder.read_emotion(LogMel().encode(audio))
    mix, label = heard_mix(emotions, intensities)
    np.testing.assert_allclose(heard.condition[:9], mix.emotions, rtol=1e-5)
    np.testing.assert_allclose(heard.condition[9:12], intensities, rtol=1e-5)
    assert heard.emotion == label
    strong = open_speech(audio, finished_run, emotion="auto", intensity=3)
    np.testing.assert_array_equal(strong.condition[9:12], [0, 0, 1])
    path = tmp_path / "speech.wav"
    soundfile.write(path, audio, 16_000)
    target, note = tmp_path / "face.csv", tmp_path / "done.json"
    command = ["animate", str(path), "-o", str(target), "--run", str(finished_run)]
    main([*command, "--json", str(note)])  # which is the default
    told = json.loads(note.read_text())["emotion"]
    assert "heard from the voice" in told["words"] and told["source"] == "voice"
    assert told["heard"] == shares_by_name(emotions)
    assert told["shares"] == shares_by_name(mix.emotions) and told["name"] in told["shares"]
    main([*command, "--emotion", "happy", "--json", str(note)])
    assert json.loads(note.read_text())["emotion"] == {
        "words": "happy (intensity 2.0)",
        "source": "given",
        "name": "happy",
        "shares": {"happy": 1.0},
        "intensity": 2.0,
    }


def _trained_on(emotions: Sequence[str], run: Path, copy: Path) -> Path:
    """Return a copy of a run that says that these were its training emotions."""
    shutil.copytree(run, copy)
    note = copy / CORPUS_FILE
    note.write_text(json.dumps(json.loads(note.read_text()) | {EMOTIONS_KEY: list(emotions)}))
    return copy


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"happy": 0.3, "sad": 0.1, "angry": 0.6}, {"happy": 0.75, "sad": 0.25}),
        ({"angry": 1.0}, {"happy": 0.5, "sad": 0.5}),  # nothing that could be shown
        ({"neutral": 0.4, "happy": 0.3, "sad": 0.3}, {"happy": 0.5, "sad": 0.5}),
    ],
)
def test_only_emotions_of_the_training_are_shown(
    told: dict[str, float],
    shown: dict[str, float],
    finished_run: Path,
    tmp_path: Path,
    make_speech: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A policy makes chance of others, of neutral too: no share of them, whatever is heard."""

    def shares(named: dict[str, float]) -> np.ndarray:
        return np.array([named.get(name, 0) for name in EMOTIONS], dtype=np.float32)

    run = _trained_on(["happy", "sad"], finished_run, tmp_path / "run")
    heard = (shares(told), np.float32([0, 1, 0]))
    monkeypatch.setattr(SpeechEncoder, "read_emotion", lambda self, features: heard)
    speech = open_speech(make_speech(3.0), run, emotion="auto")
    np.testing.assert_allclose(speech.condition[:9], shares(shown), rtol=1e-5)


def test_a_run_without_an_encoder_says_that_it_hears_no_emotion(
    make_speech: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained before there were encoders, or without."""
    monkeypatch.setattr("esarm_env.task.recording.find_speech_encoder", lambda run: None)
    speech = open_speech(make_speech(2.0), emotion="auto")
    assert speech.emotion == (
        "neutral (intensity 2.0); this run has no speech encoder that hears emotion"
    )


@pytest.fixture(scope="module")
def tuned_run(
    finished_run: Path, tiny_wavlm: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a run up to `encoder` whose WavLM learned; the weights it began with are gone."""
    folder = tmp_path_factory.mktemp("tuned")
    weights = shutil.copytree(tiny_wavlm, folder / "weights")
    config = RunFolder.open(finished_run).config
    name = f"wavlm@mean:{weights}"
    tuning = replace(
        config.encoder, epochs=1, finetune_layers=2, finetune_after=0, finetune_learning_rate=1e-2
    )
    config = replace(config, corpus=replace(config.corpus, encoder=name), encoder=tuning)
    run = RunFolder.create(folder / "first", config)
    for stage in ("corpus", "prior"):
        shutil.copytree(finished_run / stage, run.path / stage)
    note = run.path / CORPUS_FILE
    note.write_text(json.dumps(json.loads(note.read_text()) | {"encoder": name}))
    assert run_encoder(run)["wavlm_finetuned"] is True
    shutil.rmtree(weights)
    return shutil.move(run.path, folder / "elsewhere")


def test_a_run_hears_through_its_own_wavlm_wherever_it_lies(
    tuned_run: Path, tiny_wavlm: Path, make_speech: Any
) -> None:
    """The encoder was trained on these features; what it began from is not on that machine."""
    tuned = load_tuned_wavlm(tuned_run / WAVLM_FILE)
    task = open_task(tuned_run)
    encoder = task.speech_encoder
    assert encoder is not None
    assert encoder.shape.tuned_features == tuned.key
    assert encoder.dim == encoder.n_streams + 16
    audio = task.corpus[0].audio
    known = task.features[0]
    features = tuned.encode(audio)[: len(known)]
    frozen = WavLM(str(tiny_wavlm), mixture=()).encode(audio)[: len(known)]
    assert np.abs(features - frozen).max() > 0.01
    np.testing.assert_allclose(known[:, encoder.n_streams :], features, atol=5e-3)  # half precision
    speech = make_speech(2.0)
    heard = open_speech(speech, tuned_run).audio_windows(np.array([0]))[0]
    expected = encoder.encode(tuned.encode(speech))
    np.testing.assert_allclose(heard.reshape(-1, encoder.dim)[:60], expected[:60], atol=1e-5)


def test_a_run_whose_wavlm_learned_does_not_stream(tuned_run: Path) -> None:
    """Each frame is heard in all of the recording."""
    message = "`corpus.encoder` of the run must be one whose features stream, got 'wavlm@mean:"
    with pytest.raises(InputError, match=re.escape(message)):
        open_speech_stream(tuned_run)


def test_a_run_without_the_wavlm_it_was_trained_with_is_refused(
    tuned_run: Path, tmp_path: Path
) -> None:
    """Frozen features, or those of another training, would be heard as noise without a word."""
    run = tmp_path / "run"
    shutil.copytree(tuned_run, run)
    tuned = load_tuned_wavlm(run / WAVLM_FILE)
    tuned.model.encoder.layers[2].final_layer_norm.bias[0] += 1
    tuned.save(run / WAVLM_FILE)
    message = f"{WAVLM_FILE}: must hold the WavLM that {ENCODER_FILE} was trained with, got another"
    for opened in (open_task, open_speech_stream):
        with pytest.raises(InputError, match=re.escape(message)):
            opened(run)
    (run / WAVLM_FILE).unlink()
    with pytest.raises(InputError, match=re.escape("must be a whole fine-tuned WavLM file")):
        open_task(run)


def test_a_run_whose_wavlm_learned_is_no_assets(tuned_run: Path, tmp_path: Path) -> None:
    """Half a gigabyte does not ship, and half precision would change its features."""
    message = f"`run` must hear audio features that need no weights of its own, got {WAVLM_FILE}"
    with pytest.raises(InputError, match=re.escape(message)):
        make_assets(RunFolder.open(tuned_run), tmp_path / "assets")

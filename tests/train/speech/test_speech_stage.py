"""`esarm improve --speech` on a whole run: what it leaves, says, refuses and goes on from."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from esarm_env.core.errors import InputError
from train.animate import find_policy
from train.cli import main
from train.run.config import Config
from train.run.run_folder import RunFolder
from train.speech import stage
from train.speech.measures import SpeechMeasures
from train.speech.settings import SpeechSettings
from train.speech.stage import checked_name, improve_on_speech

TINY = SpeechSettings(
    reward={"learned": 1.0, "synchrony": 1.0},
    iterations=2,
    n_episodes=4,
    samples_per_utterance=2,
    rehearsals=1,
    rehearsal_sequences=2,
    old_utterances=2,
    test_share=0.4,
)


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(finished_run, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


@pytest.fixture
def voice(tmp_path, make_speech):
    """A folder of three short recordings and one that is none."""
    folder = tmp_path / "ann"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", make_speech(1.2, seed=number), 16_000)
    (folder / "broken.wav").write_text("no sound")
    return folder


def without_phones(monkeypatch):
    """Let no phone be known, as without the extra: the network takes seconds to load."""
    monkeypatch.setattr("train.speech.measures._phones_of", lambda audio: None)


def test_a_policy_learns_a_new_voice_and_animates(run, voice, monkeypatch, capsys, tmp_path):
    """All in one: the command, the page, the JSON, and the policy by its name."""
    without_phones(monkeypatch)
    options = [
        *("--speech-settings.iterations", "1", "--speech-settings.n-episodes", "4"),
        *("--speech-settings.samples-per-utterance", "2", "--speech-settings.rehearsals", "1"),
        *("--speech-settings.old-utterances", "2", "--speech-settings.test-share", "0.4"),
        *("--speech-settings.reward", "learned", "1", "synchrony", "0.5"),
    ]
    figures = tmp_path / "figures.json"
    command = ["improve", "--run", str(run.path), "--speech", str(voice), *options]
    with pytest.warns(UserWarning, match=re.escape("1 left out (broken.wav: ")):
        main([*command, "--json", str(figures)])
    said = capsys.readouterr().out
    said = said[said.index("# A policy") :]  # behind the progress bar
    assert "on 2 recordings (2.4 s) without motion; measured on 1 others (1.2 s)" in said
    assert "| loudness with lip opening (correlation) | 1 |" in said
    summary = json.loads(figures.read_text())
    assert summary["reward"] == "expected-error + 2 * naturalness + 0.5 * synchrony"
    assert summary["speech"]["train"]["recordings"] == 2
    assert summary["speech"]["left_out"][0].startswith("broken.wav: ")
    folder = run.path / "speech" / "ann"
    assert {path.name for path in folder.iterdir()} >= {"policy.safetensors", "speech.md"}
    assert not (folder / "checkpoint.pt").exists()
    with pytest.warns(UserWarning, match="1 left out"):
        main(command)  # finished: the same is told again
    assert capsys.readouterr().out == said
    output = tmp_path / "face.csv"
    animate = ["animate", str(voice / "0.wav"), "-o", str(output), "--run", str(run.path)]
    main([*animate, "--policy", "ann"])
    assert "policy: ann" in capsys.readouterr().out and output.is_file()
    assert find_policy(run.path, "auto")[1] != "ann", "who asks for nothing gets the run's own"


@pytest.mark.filterwarnings("ignore:.*left out")
def test_an_interrupted_one_goes_on_and_ends_in_the_same_weights(run, voice, monkeypatch, tmp_path):
    """Minutes are lost otherwise; and other settings must not be taken for these."""
    without_phones(monkeypatch)
    whole, _ = improve_on_speech(run, voice, settings=TINY, name="whole")

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SpeechMeasures, "of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            improve_on_speech(run, voice, settings=TINY, name="half")
    partial = run.path / "speech" / ".half.partial"
    assert partial.is_dir() and not (run.path / "speech" / "half").exists()
    half, summary = improve_on_speech(run, voice, settings=TINY, name="half")
    assert (half / "policy.safetensors").read_bytes() == (whole / "policy.safetensors").read_bytes()
    assert summary["policy"] == find_policy(run.path, "auto")[1]
    assert not partial.exists()
    other = SpeechSettings(**(vars(TINY) | {"kl_coef": 0.25}))
    message = f"{half}: must be of the same speech and settings, got other settings; choose another"
    with pytest.raises(InputError, match=re.escape(message)):
        improve_on_speech(run, voice, settings=other, name="half")


@pytest.mark.filterwarnings("ignore:.*left out")
def test_motion_beside_the_speech_is_measured_with_alone(run, recordings, voice, monkeypatch):
    """A take with motion is the only one whose error can be told."""
    without_phones(monkeypatch)
    with pytest.warns(UserWarning, match="are not learnt from; they serve to measure alone"):
        _, summary = improve_on_speech(
            run, voice, settings=SpeechSettings(**(vars(TINY) | {"iterations": 1})), test=recordings
        )
    speech = summary["speech"]
    assert speech["with_motion"] == speech["test"]["recordings"] == 2
    known = {row["key"]: row for row in summary["voices"] if row["decoding"] == "deterministic"}
    assert known["lve"]["recordings"] == 2 and 0 < known["lve"]["before"] < 50
    assert np.isfinite(known["eve"]["after"])


@pytest.mark.parametrize("name", ["clone", "auto", "ppo", "a/b", "..", ".hidden", "", "mine"])
def test_names_of_other_policies_are_refused(tmp_path, name):
    """`esarm animate --policy ppo` must mean one policy."""
    (tmp_path / "improve" / "mine").mkdir(parents=True)
    (tmp_path / "improve" / "mine" / "policy.safetensors").touch()
    assert checked_name("Actor_01-b.2 x", tmp_path) == "Actor_01-b.2 x"
    message = "`speech_name` must be letters, digits, -, _ and . and none of auto, clone, "
    with pytest.raises(InputError, match=re.escape(message)):
        checked_name(name, tmp_path)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--speech-test", "x"], "`speech_test` must be left out without `speech`, got x"),
        (["--speech-name", "x"], "`speech_name` must be left out without `speech`, got x"),
        (
            ["--speech-settings.iterations", "3"],
            "`speech_settings` must be left out without `speech`, got SpeechSettings(",
        ),
    ],
)
def test_options_of_speech_are_refused_without_it(finished_run, capsys, option, message):
    """An hour's stage would run, and not what was asked for."""
    with pytest.raises(SystemExit) as stopped:
        main(["improve", "--run", str(finished_run), *option])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_without_a_clone_is_refused(tmp_path, voice):
    """There is nothing to start from; the message is the command that makes it."""
    run = RunFolder(tmp_path, Config())
    with pytest.raises(InputError, match=re.escape("must hold the stage `clone`, got none; run ")):
        improve_on_speech(run, voice, settings=TINY)
    assert stage.speech_folder(tmp_path, "ann") == tmp_path / "speech" / "ann"

"""`esarm export`: what others get of a run, and that they get nothing more."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import yaml

from agents import SequencePPO, load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import is_export
from esarm_env.core.shipped import shipped_run
from train.cli import main
from train.sharing.card import without_places
from train.sharing.export import export_run, policy_name
from train.sharing.licences import SHIPPED_CARD, licence_text

FILES = {
    "README.md",
    "config.yaml",
    "corpus/corpus.json",
    "encoder/encoder.safetensors",
    "export.json",
    "prior/tokenizer.safetensors",
    "reward/naturalness.safetensors",
    "reward/reward.safetensors",
}


@pytest.fixture(scope="module")
def export(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an export of a run on recordings, of its policy `ppo`."""
    out = tmp_path_factory.mktemp("shared") / "my-face"
    main(["export", str(finished_run), "-o", str(out), "--policy", "ppo"])
    return out


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def front_matter(folder: Path) -> dict[str, Any]:
    """Return the head of a card, as a hub reads it."""
    _, head, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(yaml.safe_load(head))


def test_an_export_holds_what_others_need_and_nothing_more(
    export: Path, finished_run: Path, recordings: Path
) -> None:
    """A path tells a stranger the user's name; a recording tells them a voice."""
    own = {"improve/ppo/policy.safetensors", "improve/summary.json"}
    assert names(export) == FILES | own
    secrets = [str(finished_run), str(finished_run.parent), str(recordings), recordings.name]
    secrets += [str(Path.home()), "/tmp/", "ann_1", "bob_1"]
    for path in export.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert [each for each in secrets if each.encode() in content] == [], path
    manifest = json.loads((export / "export.json").read_text())
    assert manifest["policy"] == "ppo"
    assert set(manifest["files"]) == names(export) - {"export.json"}
    note = json.loads((export / "corpus" / "corpus.json").read_text())
    assert (note["corpus"], note["speakers"]) == ("recordings", ["ann", "bob"])
    assert "from_run" not in note


def test_the_card_says_what_must_be_known(export: Path, finished_run: Path) -> None:
    """Figures without intervals, and weights without terms, are what cards are blamed for."""
    text = (export / "README.md").read_text(encoding="utf-8")
    head = front_matter(export)
    assert head["license"] == "other" and head["license_name"] == "terms-of-the-recordings"
    assert head["library_name"] == "esarm" and "gymnasium" in head["tags"]
    assert re.search(r"\| ppo, greedy \| \d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\] \|", text)
    assert "| clone, greedy |" in text and "| reinforce, greedy |" not in text
    results = json.loads((finished_run / "evaluate" / "summary.json").read_text())
    assert f"On {results['utterances']} utterances of the test split" in text
    for part in ("What it must not be used for", "carry the terms of those recordings", "my-face"):
        assert part in text
    assert "then improved by `ppo`" in text


def test_an_export_animates_as_its_run(
    export: Path, finished_run: Path, speech_file: Path, tmp_path: Path
) -> None:
    """The policy it was asked for, and the reward that chooses, without a recording."""
    for more in ([], ["--best-of", "2"]):
        faces = []
        for run, policy in ((export, "auto"), (finished_run, "ppo")):
            out = tmp_path / f"{len(faces)}.csv"
            main(
                [
                    *("animate", str(speech_file), "-o", str(out), "--run", str(run)),
                    *("--policy", policy, "--emotion", "neutral", *more),
                ]
            )
            faces.append(out.read_text())
        assert faces[0] == faces[1]


def test_an_export_gives_environments_and_starts(export: Path, recordings: Path) -> None:
    """Own speech is stepped through with its tokenizer, speakers and reward."""
    with pytest.raises(InputError, match="is an export, which holds no recordings; give a folder"):
        gymnasium.make("ESARM-v0", run=export)
    env = gymnasium.make("ESARM-v0", run=export, corpus=str(recordings))
    assert env.unwrapped.reward_function.needs_ground_truth is False, "the learned one"
    model = SequencePPO.from_clone(export, env, n_episodes=4, seed=0)
    policy = load_policy(export).state_dict()
    for name, value in model.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), policy[name].numpy())


@pytest.mark.parametrize("command", ["run", "clone", "improve", "evaluate", "reward-report"])
def test_an_export_is_no_run_to_work_on(
    command: str, export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of a run in it would be passed on with it."""
    before = names(export)
    place = [str(export)] if command == "reward-report" else ["--run", str(export)]
    with pytest.raises(SystemExit) as ended:
        main([command, *place])
    assert ended.value.code == 2
    assert "got an export" in capsys.readouterr().err
    assert names(export) == before


def test_an_unfinished_run_says_what_is_missing(finished_run: Path, tmp_path: Path) -> None:
    """A model without figures is not to be passed on."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for stage in ("improve", "evaluate", "demonstrate"):
        shutil.rmtree(run / stage)
    message = (
        f"{run}: must be finished to be exported, got no improve, evaluate; "
        f"`esarm run --run {run}` goes on with it"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_an_export_is_replaced(export: Path, finished_run: Path, tmp_path: Path) -> None:
    """A mistyped folder may hold somebody's thesis."""
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("...")
    for out in (thesis, finished_run):
        with pytest.raises(InputError, match="`output` must be an earlier export, an empty folder"):
            export_run(finished_run, out)
    assert names(thesis) == {"chapter.tex"}
    again = tmp_path / "again"
    shutil.copytree(export, again)
    export_run(finished_run, again, policy="clone")
    assert names(again) == FILES | {"clone/policy.safetensors"}
    assert is_export(again)
    for source, what in ((export, "got an export"), (shipped_run(), "got what ships")):
        with pytest.raises(InputError, match=what):
            export_run(source, tmp_path / "none")


def test_no_text_names_a_place(tmp_path: Path) -> None:
    """Of a path, what stands last in it tells enough; a hub's name stays."""
    (tmp_path / "w").mkdir()
    settings = {
        "name": "/home/jane/my recordings",
        "encoder": "wavlm@6:/home/jane/wavlm",
        "hub": "wavlm:microsoft/wavlm-base-plus",
        "there": f"learned:{tmp_path}/w",
        "windows": r"C:\Users\jane\head.npz",
        "list": ["../jane/run", 0.5, None],
        "family": "mouth:random-codes",
    }
    found = without_places(settings)
    assert "jane" not in json.dumps(found) and str(tmp_path) not in json.dumps(found)
    assert found["hub"] == settings["hub"] and found["family"] == settings["family"]
    assert found["encoder"] == "wavlm@6:wavlm" and found["windows"] == "head.npz"
    assert found["list"] == ["run", 0.5, None]


def test_names_and_terms() -> None:
    """A policy by its file gets its name; known corpora get their terms."""
    assert policy_name("ppo") == "ppo"
    assert policy_name("/home/jane/best one.safetensors") == "best-one-file"
    assert policy_name("warm/ppo") == "warm-ppo", "an experiment's is not the run's own"
    ours = licence_text(layout=None, speech=False, encoder="logmel", has_wavlm=False)
    assert "espeak-ng" in ours and "section 2" in ours and "MIT" in ours
    ravdess = licence_text(layout="ravdess", speech=True, encoder="wavlm", has_wavlm=True)
    assert "CC BY-NC-SA 4.0" in ravdess and "not commercial" in ravdess
    assert "speech without recorded motion" in ravdess and "wavlm.safetensors" in ravdess
    unknown = licence_text(layout="generic", speech=False, encoder="logmel", has_wavlm=False)
    assert "we do not know" in unknown.replace("\n", " ")


def test_what_ships_states_its_licence() -> None:
    """Speech by a program under the GPL, in a package under MIT, is asked about first."""
    text = (shipped_run() / "README.md").read_text(encoding="utf-8")
    assert text == SHIPPED_CARD
    for part in ("MIT", "espeak-ng", "section 2", "Not known", "speech.opus"):
        assert part in text

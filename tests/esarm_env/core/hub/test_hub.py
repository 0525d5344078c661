"""Fetching from the Hub: what is refused, by name; what is never fetched; what needs no network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agents import MotionPolicy, MotionTransformer, SequencePPO, load_policy
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.hub.address import Address, as_written, parse_address
from esarm_env.core.hub.faults import import_hub
from esarm_env.core.hub.folders import fetch, local_folder
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer import VQMotionTokenizer
from reward import LearnedReward, RewardConfig, RewardTransformer
from tests.hub_stand_in import HubStandIn
from tests.small_policy import untrained

NAME, PLACE = "ann/face", "hf://ann/face"
MANIFEST, WEIGHTS = "export.json", "policy.safetensors"


@pytest.fixture
def task(tiny_task: AnimationTask) -> AnimationTask:
    """Return a task that needs nothing."""
    return tiny_task


@pytest.fixture
def policy(hub: HubStandIn, task: AnimationTask) -> MotionTransformer:
    """Return a policy that has been pushed with its tokenizer's hash."""
    network = untrained(task).eval()
    network.push_to_hub(NAME, tokenizer=task.tokenizer)
    return network


def test_a_policy_comes_back_as_it_was(hub: HubStandIn, policy: MotionTransformer) -> None:
    """By each of its spellings."""
    for found in (load_policy(PLACE), MotionTransformer.from_pretrained(NAME)):
        for name, value in policy.state_dict().items():
            np.testing.assert_array_equal(found.state_dict()[name].numpy(), value.numpy())
    assert MotionTransformer.from_pretrained(f"{PLACE}@main").tokenizer_hash
    assert local_folder(Path(PLACE), "policy") == local_folder(PLACE, "policy"), "one slash is lost"
    assert parse_address("hf://ann/face@v1") == Address(NAME, "v1")
    assert str(Address(NAME, "v1")) == "hf://ann/face@v1"
    assert as_written(Path(PLACE)) == PLACE and as_written("ann/face") == "ann/face"
    assert local_folder("runs/mine") == Path("runs/mine"), "a path is a path"


def test_strangers_files_are_not_fetched(hub: HubStandIn, policy: MotionTransformer) -> None:
    """A pickle runs what its author likes when it is loaded; here it never arrives."""
    hub.change(NAME, {"pytorch_model.bin": b"pickle", "modeling.py": b"raise", "x/y.pkl": b"0"})
    hub.change(NAME, {"config.json": b'{"self": 1, "part": "task", "read": 0, "token": "x"}'})
    hub.asked.clear()
    found = MotionTransformer.from_pretrained(NAME)
    folder = fetch(Address(NAME), "policy")
    assert {path.name for path in folder.rglob("*")} == {
        *(MANIFEST, WEIGHTS, "README.md", "config.json")
    }
    assert not [line for line in hub.asked if line.endswith((".bin", ".py", ".pkl"))]
    assert found.config == policy.config


def _cut(hub: HubStandIn) -> None:
    hub.change(NAME, {WEIGHTS: hub.files(NAME)[WEIGHTS][:1000]})


def _cut_on_the_way(hub: HubStandIn) -> None:
    hub.cut.add(WEIGHTS)


def _of_format_2(hub: HubStandIn) -> None:
    told = {**json.loads(hub.files(NAME)[MANIFEST]), "format": 2}
    hub.change(NAME, {MANIFEST: json.dumps(told).encode()})


def _of_no_kind(hub: HubStandIn) -> None:
    told = {**json.loads(hub.files(NAME)[MANIFEST]), "kind": "dance"}
    hub.change(NAME, {MANIFEST: json.dumps(told).encode()})


def _without_manifest(hub: HubStandIn) -> None:
    hub.change(NAME, {MANIFEST: None})


def _broken_manifest(hub: HubStandIn) -> None:
    hub.change(NAME, {MANIFEST: b"{"})


def _without_weights(hub: HubStandIn) -> None:
    hub.change(NAME, {WEIGHTS: None})


def _gated(hub: HubStandIn) -> None:
    hub.repositories[NAME].gated = True


def _failing(hub: HubStandIn) -> None:
    hub.fails = True


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, r"policy\.safetensors must be the file that was shared \(\d+ bytes"),
        (_cut_on_the_way, "must arrive whole, got a file that was cut on the way"),
        (_of_format_2, "must be of format 1, got 2; it is of another version of esarm"),
        (_of_no_kind, "must tell a kind .* got kind 'dance'"),
        (_without_manifest, "must be a repository of ESARM, got one without export.json"),
        (_broken_manifest, "must be the manifest of a shared folder"),
        (_without_weights, "must hold policy.safetensors, got none"),
        (_gated, "got a gated repository; ask for access"),
        (_failing, "must be in reach or in the cache"),
    ],
)
def test_what_is_wrong_with_a_repository_is_said(
    spoil: Callable[[HubStandIn], None], message: str, hub: HubStandIn, policy: MotionTransformer
) -> None:
    """Each of them in one line that says which repository, and no token."""
    spoil(hub)
    for load in (load_policy, MotionTransformer.from_pretrained):
        with pytest.raises(InputError, match=message) as refused:
            load(PLACE)
        said = str(refused.value).replace("models--ann--face", NAME)  # as the cache calls it
        assert NAME in said and "hf_stand_in" not in said


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf://ann/none", "got no such repository"),
        ("hf://ann/face@v9", "must have the revision asked for, got none called 'v9'"),
        ("hf://ann", "must be hf://USER/NAME or hf://USER/NAME@REVISION, got 'hf://ann'"),
        ("hf://ann/face/x", "must be hf://USER/NAME"),
        ("hf://a..b/face", "must be USER/NAME as on the Hub, got 'a..b/face'"),
    ],
)
def test_a_name_that_there_is_not_is_said(
    source: str, message: str, hub: HubStandIn, policy: MotionTransformer
) -> None:
    """As is a private one without a token, of which the Hub says the same."""
    with pytest.raises(InputError, match=message):
        load_policy(source)
    with pytest.raises(InputError, match="if it is private log in with `hf auth login`"):
        MotionTransformer.from_pretrained(NAME, token=False)
    with pytest.raises(InputError, match="must be yours to use, got a refusal"):
        policy.push_to_hub(NAME, token="hf_wrong")


def test_another_kind_is_refused(
    hub: HubStandIn, policy: MotionTransformer, task: AnimationTask
) -> None:
    """A reward is no policy, and a tokenizer no task, whatever file it is called."""
    model = RewardTransformer(
        RewardConfig(n_layers=1, n_heads=2, width=16),
        audio_dim=task.features.dim * task.tokenizer.frames_per_chunk,
        motion_dim=52 * task.tokenizer.frames_per_chunk,
    ).eval()
    model.push_to_hub("ann/taste")
    with pytest.raises(InputError, match="must hold a policy or a whole task, got a reward"):
        load_policy("hf://ann/taste")
    with pytest.raises(InputError, match="must hold a task, got a policy"):
        SpeechAnimationEnv(PLACE)
    with pytest.raises(InputError, match="must hold a tokenizer or a whole task, got a policy"):
        VQMotionTokenizer.from_pretrained(NAME)
    task.tokenizer.push_to_hub(NAME)
    same = VQMotionTokenizer.from_pretrained(NAME)
    assert same.content_hash() == task.tokenizer.content_hash()
    env = SpeechAnimationEnv(task=task, reward="learned:hf://ann/taste")
    assert env.reward_function.weights == {"learned:hf://ann/taste": 1.0}
    with pytest.raises(InputError, match="`task` must be given"):
        LearnedReward.from_pretrained("ann/taste")
    utterances = np.arange(2)
    motions = [task.corpus[index].motion for index in range(2)]
    found = LearnedReward.from_pretrained("ann/taste", task=task)
    np.testing.assert_allclose(
        found.score_motion(utterances, motions),
        LearnedReward(task, model).score_motion(utterances, motions),
        atol=1e-6,
    )
    assert type(RewardTransformer.from_pretrained("ann/taste")) is RewardTransformer


def test_a_policy_of_another_tokenizer_is_refused(
    hub: HubStandIn, policy: MotionTransformer, task: AnimationTask
) -> None:
    """Its sizes fit, and its tokens would mean other faces."""
    env = SpeechAnimationEnv(task=task)
    assert SequencePPO.from_clone(PLACE, env, n_episodes=4).model.config.width == 16
    assert MotionPolicy.from_pretrained(NAME, env).transformer.tokenizer_hash
    policy.push_to_hub(NAME, tokenizer="0" * 64)
    refused = "must be that of the policy's tokenizer, 000000000000, got one with"
    for load in (SequencePPO.from_clone, MotionPolicy.from_pretrained):
        with pytest.raises(InputError, match=f"`env` {refused}"):
            load(PLACE, env)
    with pytest.raises(InputError, match=f"`tokenizer` {refused}"):
        MotionTransformer.from_pretrained(NAME, tokenizer=task.tokenizer)


def test_the_cache_serves_without_network(
    hub: HubStandIn, policy: MotionTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop on a train has what it had at home, and says so where it has not."""
    from huggingface_hub import constants

    load_policy(PLACE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        assert load_policy(PLACE).config == policy.config
        assert MotionTransformer.from_pretrained(NAME, local_files_only=True).config
        with pytest.raises(InputError, match="must be in reach or in the cache, got neither"):
            load_policy("hf://ann/another")
        with pytest.raises(InputError, match="see to the network"):
            policy.push_to_hub(NAME)


def test_a_folder_needs_no_hub(task: AnimationTask, tmp_path: Path) -> None:
    """Whoever was sent a folder installs nothing for it; somebody's own files stay."""
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from agents import MotionTransformer, load_policy\n"
        f"print(MotionTransformer.from_pretrained({str(tmp_path / 'p')!r}).config.width)\n"
        "try: load_policy('hf://ann/face')\n"
        "except ImportError as error: print(error)\n"
    )
    untrained(task).save_pretrained(tmp_path / "p")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[0] == "16"
    assert "run `pip install 'esarm[hub]'`" in ran.stdout
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("...")
    for folder, rule in (
        (tmp_path / "thesis", "an empty folder or none"),
        (Path(__file__), "file"),
    ):
        with pytest.raises(InputError, match=f"`save_directory` must be .*{rule}"):
            untrained(task).save_pretrained(folder)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exact line that brings it."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'esarm\[hub\]'"):
        import_hub()

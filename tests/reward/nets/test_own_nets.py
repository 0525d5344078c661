"""Reward models of one's own: trained on every source of pairs, saved, and loaded by their path."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import reward
from esarm_env.core.errors import InputError
from esarm_env.core.weights import save_weights
from esarm_env.rewards.registry import resolve_reward
from reward.nets.files import NETS, trusted_place
from reward.scoring import score_with

SETTINGS = reward.RewardConfig(epochs=30, batch_utterances=8, learning_rate=1e-2)


class Plain(reward.RewardNet):
    """Looks at each chunk alone."""

    def __init__(self, *, audio_dim: int, motion_dim: int, width: int = 8) -> None:
        super().__init__(audio_dim=audio_dim, motion_dim=motion_dim, width=width)
        read = nn.Linear(audio_dim + motion_dim, width)
        self.body = nn.Sequential(read, nn.Tanh(), nn.Linear(width, 1))

    def per_chunk(self, audio: Tensor, motion: Tensor) -> Tensor:
        """Return (B, C)."""
        scores: Tensor = self.body(torch.cat([audio, motion], dim=2))[..., 0]
        return scores

    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        return self.mean_over_chunks(self.per_chunk(audio, motion), n_chunks)


class Chunked(Plain):
    """Tells what each chunk earned, too."""

    chunk_streams = ("whole",)

    def score_chunks(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        inside = self.inside(n_chunks, audio.shape[1])
        per_chunk = (self.per_chunk(audio, motion) - self.offset) / self.scale
        return per_chunk * inside / n_chunks[:, None]


class Conditioned(reward.RewardNet):
    """Asks what was wanted."""

    needs_condition = True

    def __init__(self, *, audio_dim: int, motion_dim: int, condition_dim: int) -> None:
        sizes = {"audio_dim": audio_dim, "motion_dim": motion_dim}
        super().__init__(**sizes, condition_dim=condition_dim)
        self.to_score = nn.Linear(motion_dim + condition_dim, 1)

    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor, condition: Tensor) -> Tensor:
        wanted = condition[:, None].expand(-1, motion.shape[1], -1)
        per_chunk = self.to_score(torch.cat([motion, wanted], dim=2))[..., 0]
        return self.mean_over_chunks(per_chunk, n_chunks)


@pytest.fixture
def shown(tiny_task: Any, make_demonstrations: Any) -> reward.RankedDemonstrations:
    """Three levels of noise of every training utterance."""
    made: reward.RankedDemonstrations = make_demonstrations(
        tiny_task.corpus.split("train"), (0.0, 0.5, 1.0)
    )
    return made


@pytest.fixture
def ranked(tiny_task: Any, shown: reward.RankedDemonstrations) -> reward.PairSource:
    """All their pairs, as automatic ranks order them."""
    motions = reward.motions_of(shown, tiny_task)
    return reward.PairSource(shown.utterance, motions, reward.RankedPairs(shown).all())


def chosen_by_hand(tiny_task: Any, ranked: reward.PairSource, folder: Path) -> reward.PairSource:
    """Return the same pairs out of a `preferences.jsonl`, a rater's choice a line."""
    records, time = tiny_task.corpus.records, datetime(2026, 1, 1, tzinfo=timezone.utc).isoformat()
    names = [f"{row}.npy" for row in range(len(ranked))]
    for name, motion in zip(names, ranked.motions, strict=True):
        np.save(folder / name, motion)
    path = folder / "preferences.jsonl"
    for a, b in zip(ranked.pairs.a, ranked.pairs.b, strict=True):
        both = (reward.RatedAnimation(names[row]) for row in (a, b))
        utterance = records[int(ranked.utterance[a])].id
        reward.add_preference(reward.Preference(utterance, *both, "a", "anna", time), path)
    return reward.open_preferences(path, tiny_task).source


@pytest.mark.parametrize("by", ["rank", "score", "preference"])
def test_a_model_of_ones_own_learns_from_every_source(
    tiny_task: Any, shown: Any, ranked: reward.PairSource, tmp_path: Path, by: str
) -> None:
    """Its training needed a private method to be overridden, and said so nowhere."""
    source = ranked
    if by == "score":
        pairs = reward.pairs_of_scores(shown.utterance, -shown.epsilon, scale=0.05)
        source = reward.PairSource(ranked.utterance, ranked.motions, pairs)
    elif by == "preference":
        source = chosen_by_hand(tiny_task, ranked, tmp_path)
    trainer = reward.PairTrainer(tiny_task, train=source, model=Plain, config=SETTINGS, seed=0)
    losses = [trainer.advance()["loss"] for _ in range(SETTINGS.epochs)]
    assert losses[-1] < 0.5 * losses[0]
    assert trainer.accuracy(ranked) > 0.9
    net = trainer.finish()
    assert isinstance(net, Plain)
    (scores,) = score_with([net], tiny_task, ranked.utterance, motions=ranked.motions)
    assert scores.mean() == pytest.approx(0, abs=1e-4)
    assert scores.std(ddof=1) == pytest.approx(1, abs=1e-2)


def test_a_model_with_weights_goes_on_and_a_class_begins(
    tiny_task: Any, ranked: reward.PairSource
) -> None:
    """A network that was handed over must not be replaced, and the seed must fix a new one."""

    def begun(model: Any, seed: int) -> reward.RewardNet:
        return reward.PairTrainer(tiny_task, train=ranked, model=model, seed=seed).model

    mine = Plain.for_task(tiny_task, width=3)
    assert begun(mine, 0) is mine
    one, same, other = (begun(Plain, seed).state_dict()["body.0.weight"] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_the_condition_reaches_training_and_scoring(
    tiny_task: Any, ranked: reward.PairSource, shown: Any, tmp_path: Path
) -> None:
    """A model that judges emotion would be trained on nothing, or on another row's."""
    trainer = reward.PairTrainer(tiny_task, train=ranked, model=Conditioned, seed=0)
    assert np.isfinite(trainer.advance()["loss"])
    net = trainer.finish()
    net.save(tmp_path / "net.safetensors")
    combined = resolve_reward(f"learned:{tmp_path / 'net.safetensors'}", tiny_task, None)
    scores = combined.score(shown.trajectories)
    other = shown.trajectories.__class__(
        *(getattr(shown.trajectories, name) for name in ("utterance", "tokens", "lengths")),
        1 - shown.trajectories.condition,
    )
    assert not np.allclose(combined.score(other), scores)


@pytest.mark.parametrize("kind", [Plain, Chunked])
def test_a_saved_model_is_the_reward_of_its_path(
    tiny_task: Any, shown: Any, tmp_path: Path, kind: type[Plain]
) -> None:
    """It took a plug-in of ten lines; sizes and standardisation must come back, too."""
    torch.manual_seed(0)
    net = kind.for_task(tiny_task, width=5).eval()
    net.standardise(torch.tensor([2.0, 3.0, 5.0]))
    net.save(tmp_path / "net.safetensors")
    found = resolve_reward(f"learned:{tmp_path / 'net.safetensors'}", tiny_task, None)
    scores = found.score(shown.trajectories)
    motions = tiny_task.decode_chunks(shown.trajectories)
    (expected,) = score_with([net], tiny_task, shown.utterance, motions=motions)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert found.chunk_streams == kind.chunk_streams
    if found.chunk_streams:
        chunks = found.score_chunks(shown.trajectories)
        np.testing.assert_allclose(chunks.sum(axis=(1, 2)), scores, atol=1e-5)
    again = reward.load_net(tmp_path / "net.safetensors", net=kind)
    assert again.sizes == {"width": 5} and not any(p.requires_grad for p in again.parameters())


def test_a_weights_file_imports_nothing(tmp_path: Path, tiny_task: Any, monkeypatch: Any) -> None:
    """Weights come from strangers; a file that could name any module would run its code."""
    (tmp_path / "stranger.py").write_text(
        "import reward\nprint('ran')\n"
        "class Net(reward.RewardNet):\n"
        "    def __init__(self, *, audio_dim, motion_dim):\n"
        "        super().__init__(audio_dim=audio_dim, motion_dim=motion_dim)\n"
        "    def forward(self, audio, motion, n_chunks):\n"
        "        return motion.mean(dim=(1, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    sizes = Plain.for_task(tiny_task)
    note = {"audio_dim": sizes.audio_dim, "motion_dim": sizes.motion_dim, "sizes": {}}
    weights = {"offset": torch.zeros(()), "scale": torch.ones(())}
    path = tmp_path / "net.safetensors"
    save_weights(path, weights, kind="reward net", net_class="stranger:Net", **note)
    rule = "must hold a reward model of a class that is trusted, got 'stranger:Net'"
    with pytest.raises(InputError, match=re.escape(rule)):
        resolve_reward(f"learned:{path}", tiny_task, None)
    assert "stranger" not in sys.modules
    try:
        resolve_reward(f"learned:stranger:Net@{path}", tiny_task, None)  # the user names it
        assert "stranger" in sys.modules and str(tmp_path) not in sys.path
        resolve_reward(f"learned:{path}", tiny_task, None)
    finally:
        sys.modules.pop("stranger", None)


def test_an_installed_class_is_trusted(tmp_path: Path, tiny_task: Any, monkeypatch: Any) -> None:
    """Commands import nothing of the user's but what is installed."""
    from reward.nets import files

    Plain.for_task(tiny_task).save(tmp_path / "net.safetensors")
    monkeypatch.setattr(files, "_defined", lambda parent: [])
    with pytest.raises(InputError, match="a class that is trusted"):
        reward.load_net(tmp_path / "net.safetensors")
    monkeypatch.setattr(NETS, "_registered", {"plain": Plain})
    assert isinstance(reward.load_net(tmp_path / "net.safetensors"), Plain)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("no_such_module_here:Net@a", "ModuleNotFoundError"),
        ("json:Net@a", "AttributeError"),
        ("json:JSONDecoder@a", "TypeError"),
    ],
)
def test_a_class_that_is_none_is_refused(text: str, got: str) -> None:
    """A misspelt module must not end in the stack of an import."""
    rule = f"`{text[:-2]}` must be a subclass of `reward.RewardNet` that can be imported, got {got}"
    with pytest.raises(InputError, match=re.escape(rule)):
        trusted_place(text)


def test_a_path_may_look_like_a_mail_address() -> None:
    """Only what names a class is one."""
    assert trusted_place("runs/a@b/net.safetensors") == Path("runs/a@b/net.safetensors")


class NoForward(Plain):
    forward = reward.RewardNet.forward


class OtherSignature(Plain):
    def forward(self, motion: Tensor) -> Tensor:  # type: ignore[override]
        return motion.mean(dim=(1, 2))


class PerChunk(Plain):
    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        return self.per_chunk(audio, motion)


class Padded(Plain):
    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        return self.per_chunk(audio, motion).mean(dim=1)


class Detached(Plain):
    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        return super().forward(audio, motion, n_chunks).detach()


class Infinite(Plain):
    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        return super().forward(audio, motion, n_chunks) / 0


class Clumsy(Plain):
    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        return self.body(motion)[..., 0]


class Forgetful(Plain):
    def __init__(self, *, audio_dim: int, motion_dim: int, width: int = 8, depth: int = 4) -> None:
        super().__init__(audio_dim=audio_dim, motion_dim=motion_dim, width=width)
        self.more = nn.Linear(depth, 1)


def forgetful(task: Any) -> reward.RewardNet:
    """Return a network whose file would build another one."""
    plain = Plain.for_task(task)
    return Forgetful(audio_dim=plain.audio_dim, motion_dim=plain.motion_dim, depth=7)


WRONG = [
    (NoForward, "NoForward must override `forward`"),
    (
        OtherSignature,
        "`forward` of OtherSignature must take (audio, motion, n_chunks), got (motion",
    ),
    (
        PerChunk,
        "`forward` of PerChunk must return a tensor of shape (B,) = (2,), a score per animation, "
        "got shape (2, ",
    ),
    (Padded, "`forward` of Padded must not look at padding, chunks from `n_chunks` on, got"),
    (Detached, "`forward` of Detached must have a gradient to its weights, got scores without"),
    (Infinite, "`forward` of Infinite must return finite scores, got [-inf"),
    (Clumsy, "`forward` of Clumsy must score audio (2, "),
    (forgetful, "`sizes` of Forgetful must build it again (hand every argument of `__init__` to"),
    (nn.Linear, "`model` must be a `RewardNet` or a subclass of it, got Linear"),
    (lambda _: Plain(audio_dim=3, motion_dim=4), "got one for 3 and 4; `Plain.for_task(task)` mak"),
    (reward.RewardNet, "RewardNet must override `forward`, which scores, got a class without"),
]


@pytest.mark.parametrize(("model", "rule"), WRONG, ids=[str(rule)[:30] for _, rule in WRONG])
def test_a_wrong_model_is_told_the_rule(
    tiny_task: Any, ranked: reward.PairSource, model: Any, rule: str
) -> None:
    """Said before training: a score per chunk, broadcast in the loss, trains something else."""
    given = model if isinstance(model, type) else model(tiny_task)
    with pytest.raises(InputError, match=re.escape(rule)):
        reward.PairTrainer(tiny_task, train=ranked, model=given, seed=0)


def test_sizes_of_another_model_are_refused(tiny_task: Any, ranked: reward.PairSource) -> None:
    """They would be ignored without a word."""
    config = reward.RewardConfig(width=32)
    rule = (
        "`config` must leave width as they are beside `model`, which has sizes of its own, got 32"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        reward.PairTrainer(tiny_task, train=ranked, model=Plain, config=config, seed=0)


def test_a_model_for_other_chunks_is_refused_as_a_reward(tiny_task: Any, tmp_path: Path) -> None:
    """Matrices of other sizes would be multiplied in the middle of a roll-out."""
    Plain(audio_dim=3, motion_dim=4).save(tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=re.escape("motion values, got one for 3 and 4")):
        resolve_reward(f"learned:{tmp_path / 'net.safetensors'}", tiny_task, None)


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    """The remedy for a run's own model, to delete the stage, is none for this."""
    path = tmp_path / "net.safetensors"
    Plain(audio_dim=3, motion_dim=4).save(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=re.escape("must be a whole reward net file, got")) as told:
        reward.load_net(path, net=Plain)
    assert "RewardNet.save" in str(told.value)


@pytest.mark.parametrize(
    "change",
    [{"sizes": {"width": value}} for value in (10**9, 10**30, 0, -8, 8.5, "8", None, True, [8])]
    + [{"sizes": {"depth": 2}}, {"sizes": [8]}, {"audio_dim": 10**9}, {"more": 1}],
    ids=str,
)
def test_sizes_that_the_weights_do_not_have_are_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """A class is trusted, the numbers in a file are not: they would fill the memory first."""
    path = tmp_path / "net.safetensors"
    net = Plain(audio_dim=3, motion_dim=4)
    note = {"audio_dim": 3, "motion_dim": 4, "sizes": net.sizes, "net_class": "any:Plain"} | change
    save_weights(path, net.state_dict(), kind="reward net", **note)
    with pytest.raises(InputError, match=re.escape("must be a whole reward net file, got")):
        reward.load_net(path, net=Plain)


def test_the_built_in_model_is_one(tiny_task: Any, ranked: reward.PairSource) -> None:
    """Handed over as a model, it trains as it does by default."""
    config = reward.RewardConfig(epochs=2)
    torch.manual_seed(3)
    mine = reward.RewardTransformer.for_task(tiny_task, config=config)
    given = reward.PairTrainer(tiny_task, train=ranked, model=mine, config=config, seed=3)
    usual = reward.PairTrainer(tiny_task, train=ranked, config=config, seed=3)
    torch.manual_seed(4)
    loss = given.advance()["loss"]
    torch.manual_seed(4)
    assert usual.advance()["loss"] == loss


def test_a_subclass_of_the_built_in_model_is_not_saved_as_it(tmp_path: Path) -> None:
    """Loaded as its parent, it would score by other rules without a word."""

    class Louder(reward.RewardTransformer):
        pass

    with pytest.raises(InputError, match=re.escape("`sizes` of Louder must build it again")):
        Louder(reward.RewardConfig(), audio_dim=3, motion_dim=4).save(tmp_path / "net.safetensors")


def test_the_package_lists_its_names() -> None:
    """`dir` and completion showed nothing of it."""
    names = {"RewardNet", "pairs_of_scores", "Preference", "motions_of", "load_net", "PairTrainer"}
    assert names <= set(dir(reward)) and set(reward.__all__) <= set(dir(reward))

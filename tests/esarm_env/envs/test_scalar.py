"""`ESARM-v0`: a checked, seeded, honest environment that takes any reward and any algorithm."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.env_checker
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, Corpus, Trajectories
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.rewards import RewardError
from esarm_env.task.animation_task import AnimationTask


@pytest.fixture
def env(tiny_task: AnimationTask) -> SpeechAnimationEnv:
    return SpeechAnimationEnv(task=tiny_task, reward="accuracy")


class TokenSum:
    """A reward of a user's own: the sum of the tokens over a hundred."""

    needs_ground_truth = False

    def __init__(self) -> None:
        self.seen: list[Trajectories] = []

    def score(self, trajectories: Trajectories) -> np.ndarray:
        self.seen.append(trajectories)
        return (np.maximum(trajectories.tokens, 0).sum(axis=1) / 100).astype(np.float32)


class Broken(TokenSum):
    """A reward that divides by zero, for the utterance of index 6 alone."""

    def __init__(self, value: float = np.nan) -> None:
        super().__init__()
        self._value = value

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.where(trajectories.utterance == 6, self._value, 0.5).astype(np.float32)


def rollout(
    env: gymnasium.Env[Any, Any], *, seed: int, options: dict[str, Any] | None = None
) -> list[Any]:
    """Return all that an episode of seeded random actions shows, in order."""
    actions = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed, options=options)
    seen: list[Any] = [obs, info]
    terminated = False
    while not terminated:
        obs, reward, terminated, truncated, info = env.step(actions.integers(16))
        seen += [obs, reward, terminated, truncated, info]
    return seen


def test_gymnasium_finds_no_fault(env: SpeechAnimationEnv) -> None:
    """Its checker is what every library built on it counts on; warnings are errors here."""
    check_env(env, skip_render_check=True)


def test_stable_baselines3_finds_no_fault(env: SpeechAnimationEnv) -> None:
    """It is stricter about dtypes and about what `step` returns."""
    stable_baselines3.common.env_checker.check_env(env)


def test_equal_seeds_give_equal_episodes(tiny_task: AnimationTask) -> None:
    """Without this no result can be repeated."""
    first, second = (
        rollout(SpeechAnimationEnv(task=tiny_task, reward="accuracy"), seed=5) for _ in range(2)
    )
    np.testing.assert_equal(first, second)


def test_the_seed_draws_the_utterance(env: SpeechAnimationEnv) -> None:
    """A seed that does nothing would show one utterance for ever; all of the split must come."""
    drawn = [int(env.reset(seed=seed)[0]["utterance"][0]) for seed in range(60)]
    assert set(drawn) == set(range(8))
    again = [int(env.reset(seed=seed)[0]["utterance"][0]) for seed in range(60)]
    assert again == drawn


def test_resets_without_a_seed_go_on_drawing(env: SpeechAnimationEnv) -> None:
    """A generator made anew at every reset would repeat the first utterance."""

    def draw() -> list[int]:
        first = env.reset(seed=1)[0]
        return [int(obs["utterance"][0]) for obs in (first, *(env.reset()[0] for _ in range(30)))]

    drawn = draw()
    assert len(set(drawn)) == 8
    assert draw() == drawn


@pytest.mark.parametrize(
    ("split", "utterances"),
    [("train", set(range(8))), ("validation", {8, 9}), ("test", {10, 11})],
)
def test_episodes_come_from_the_split(
    tiny_task: AnimationTask, split: str, utterances: set[int]
) -> None:
    """Training on the test split would never be noticed in a curve."""
    env = SpeechAnimationEnv(task=tiny_task, reward="accuracy", split=split)
    assert {int(env.reset(seed=seed)[0]["utterance"][0]) for seed in range(40)} == utterances


@pytest.mark.parametrize("utterance", [0, 6, 10])
def test_the_reward_comes_at_the_end(env: SpeechAnimationEnv, utterance: int) -> None:
    """Nothing before, `terminated` and never `truncated` at the end, after exactly L steps."""
    seen = rollout(env, seed=0, options={"utterance": utterance})
    steps = [seen[at : at + 5] for at in range(2, len(seen), 5)]
    assert len(steps) == env.sequence_task.lengths[utterance]
    for _, reward, terminated, truncated, info in steps[:-1]:
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert (info["rewards"], info["lve"], info["eve"]) == ({"accuracy": 0.0}, 0.0, 0.0)
    _, reward, terminated, truncated, _ = steps[-1]
    assert (terminated, truncated) == (True, False)
    assert reward < 0, "random tokens err by some millimetres"
    for _, reward, terminated, truncated, _ in steps:
        assert type(reward) is float
        assert type(terminated) is type(truncated) is bool


def test_the_end_tells_scores_errors_and_tokens(env: SpeechAnimationEnv) -> None:
    """The names are fixed: evaluation and loggers look for them."""
    seen = rollout(env, seed=0, options={"utterance": "ben-04"})
    reward, info = seen[-4], seen[-1]
    assert seen[1]["utterance_id"] == "ben-04"
    assert set(info) == {"rewards", "tokens", "utterance_id", "lve", "eve"}
    assert info["utterance_id"] == "ben-04"
    assert info["rewards"] == {"accuracy": reward}
    assert reward == pytest.approx(-(info["lve"] + info["eve"]) / 2, rel=1e-5)
    tokens = np.random.default_rng(0).integers(16, size=48)
    assert info["tokens"].tolist() == tokens.tolist()
    motion = env.sequence_task.tokenizer.decode(tokens)[None, :45]
    errors = env.sequence_task.errors_of_motion(motion, np.array([4]))
    assert info["lve"] == pytest.approx(errors["lve"][0], rel=1e-5)
    assert info["eve"] == pytest.approx(errors["eve"][0], rel=1e-5)
    assert type(info["lve"]) is type(info["eve"]) is float


def test_infos_keep_their_keys_and_types_from_reset_to_the_end(env: SpeechAnimationEnv) -> None:
    """Recorders such as Minari take the structure of the first for that of all."""
    seen = rollout(env, seed=0, options={"utterance": 6})
    infos = [seen[1], *seen[6::5]]
    assert len(infos) == 21

    def structure(info: dict[str, Any]) -> dict[str, Any]:
        return {
            key: structure(value) if isinstance(value, dict) else (type(value), np.shape(value))
            for key, value in info.items()
        }

    for step, info in enumerate(infos):
        assert structure(info) == structure(infos[-1])
        assert list(info) == list(infos[-1]), "the order, too"
        written = np.random.default_rng(0).integers(16, size=20)[:step].tolist()
        assert info["tokens"].tolist() == written + [-1] * (48 - step)


def test_the_tokens_of_short_utterances_are_padded(env: SpeechAnimationEnv) -> None:
    """Arrays of one shape stack in a vector environment; -1 is no token."""
    info = rollout(env, seed=0, options={"utterance": 6})[-1]
    tokens = np.random.default_rng(0).integers(16, size=20)
    assert info["tokens"].dtype == np.int64
    assert info["tokens"].tolist() == tokens.tolist() + [-1] * 28, "48 is the longest"


def test_what_the_end_tells_is_the_callers(tiny_task: AnimationTask) -> None:
    """Tokens written into by a logger must not be those of the next episode."""
    reward = TokenSum()
    env = SpeechAnimationEnv(task=tiny_task, reward=reward, metrics=False)
    first = rollout(env, seed=0, options={"utterance": 6})[-1]
    kept = first["tokens"].copy()
    first["tokens"][:] = 7
    assert reward.seen[0].tokens.tolist() == [kept[:20].tolist()], "nor those of a reward"
    again = rollout(env, seed=0, options={"utterance": 6})[-1]
    assert again["tokens"].tolist() == kept.tolist()
    assert not np.shares_memory(first["tokens"], again["tokens"])


def test_metrics_can_be_left_out(tiny_task: AnimationTask) -> None:
    """They need the ground truth and cost time; the rest of `info` stays."""
    env = SpeechAnimationEnv(task=tiny_task, reward=TokenSum(), metrics=False)
    assert set(rollout(env, seed=0)[-1]) == {"rewards", "tokens", "utterance_id"}


def test_observations_are_the_hand_written_ones(env: SpeechAnimationEnv) -> None:
    """Six steps of the shortest utterance, each number where the table puts it."""
    obs, _ = env.reset(options={"utterance": 6})
    task = env.sequence_task
    last = [[-1, -1, -1, -1], [-1, -1, -1, 5], [-1, -1, 5, 4], [-1, 5, 4, 3], [5, 4, 3, 2]]
    last += [[4, 3, 2, 1], [3, 2, 1, 0]]
    for step, tokens in enumerate(last):
        assert obs["last_tokens"].tolist() == tokens
        assert obs["step"].tolist() == [step]
        assert obs["utterance"].tolist() == [6]
        np.testing.assert_array_equal(obs["audio"], task.windows_of(6)[step // 4])
        np.testing.assert_array_equal(obs["condition"], task.conditions.encode("happy", 1, "cleo"))
        assert env.observation_space.contains(obs)
        obs = env.step(5 - step if step < 6 else 0)[0]


def test_the_last_observation_is_within_the_space(env: SpeechAnimationEnv) -> None:
    """After the last token there is no chunk left; a value network still looks at it."""
    longest = int(np.argmax(env.sequence_task.lengths))
    obs = rollout(env, seed=0, options={"utterance": longest})[-5]
    assert env.observation_space.contains(obs)
    assert obs["step"].tolist() == [48]


def test_observations_share_no_memory(env: SpeechAnimationEnv) -> None:
    """A buffer that keeps references would hold the last observation many times."""
    first, _ = env.reset(options={"utterance": 6})
    second = env.step(1)[0]
    again, _ = env.reset(options={"utterance": 6})
    kept = {name: value.copy() for name, value in again.items()}
    for one, other in ((first, second), (first, again), (second, again)):
        for name in one:
            assert not np.shares_memory(one[name], other[name]), name
    for obs in (first, second):
        for value in obs.values():
            value[:] = 3
    np.testing.assert_equal(env.reset(options={"utterance": 6})[0], kept)


def test_an_utterance_is_chosen_by_id_or_index(env: SpeechAnimationEnv) -> None:
    """Also one of another split: evaluation asks for it by name."""
    for wanted in ("dora-10", 10, np.int64(10)):
        obs, info = env.reset(options={"utterance": wanted})
        assert obs["utterance"].tolist() == [10]
        assert info["utterance_id"] == "dora-10"
    for index in (0, 11):
        assert env.reset(options={"utterance": index})[0]["utterance"].tolist() == [index]


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({}, ("happy", 3, "anna")),
        ({"emotion": "fear"}, ("fear", 3, "anna")),
        ({"intensity": 1}, ("happy", 1, "anna")),
        ({"speaker": "cleo"}, ("happy", 3, "cleo")),
        ({"speaker": None}, ("happy", 3, None)),
        ({"speaker": "stranger"}, ("happy", 3, None)),
        ({"emotion": "sad", "intensity": 2, "speaker": "ben"}, ("sad", 2, "ben")),
    ],
)
def test_options_change_the_condition(
    tiny_task: AnimationTask, change: dict[str, Any], labels: tuple[str, int, str | None]
) -> None:
    """The same words in another mood; the reward must see the mood that was asked for."""
    reward = TokenSum()
    env = SpeechAnimationEnv(task=tiny_task, reward=reward)
    expected = tiny_task.conditions.encode(*labels)
    seen = rollout(env, seed=0, options={"utterance": 1, **change})
    for obs in (seen[0], seen[-5]):
        np.testing.assert_array_equal(obs["condition"], expected)
    np.testing.assert_array_equal(reward.seen[0].condition, expected[None])


def test_options_hold_for_one_episode(env: SpeechAnimationEnv) -> None:
    """And the caller's dictionary stays as it was."""
    options = {"utterance": 1, "emotion": "fear"}
    env.reset(options=options)
    assert options == {"utterance": 1, "emotion": "fear"}
    obs, _ = env.reset(options={"utterance": 1})
    np.testing.assert_array_equal(
        obs["condition"], env.sequence_task.conditions.encode("happy", 3, "anna")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"utterance": "eve-01"},
            "`utterance` must be an id of the corpus (such as 'anna-00'), got 'eve-01'",
        ),
        ({"utterance": 12}, "`utterance` must be an id or in 0..11, got 12"),
        ({"utterance": -1}, "`utterance` must be an id or in 0..11, got -1"),
        ({"utterance": 6.0}, "`utterance` must be an id or in 0..11, got 6.0"),
        ({"utterance": 6.9}, "`utterance` must be an id or in 0..11, got 6.9"),
        ({"utterance": True}, "`utterance` must be an id or in 0..11, got True"),
        ({"utterance": [6]}, "`utterance` must be an id or in 0..11, got [6]"),
        ({"emotion": "bored"}, f"`emotion` must be one of {', '.join(EMOTIONS)}, got 'bored'"),
        ({"emotion": 2}, f"`emotion` must be one of {', '.join(EMOTIONS)}, got 2"),
        ({"intensity": 0}, "`intensity` must be 1 to 3, got 0"),
        ({"intensity": 4}, "`intensity` must be 1 to 3, got 4"),
        ({"intensity": 1.5}, "`intensity` must be 1 to 3, got 1.5"),
        ({"intensity": "2"}, "`intensity` must be 1 to 3, got '2'"),
        (
            {"mood": "sad", "actor": "ben"},
            "`options` must be among utterance, emotion, intensity, speaker, got actor, mood",
        ),
        (
            {"utterance": "eve-01", "emotions": "sad"},
            "`options` must be among utterance, emotion, intensity, speaker, got emotions",
        ),
        (
            {3: "sad"},
            "`options` must be among utterance, emotion, intensity, speaker, got 3",
        ),
    ],
)
def test_bad_options_are_rejected(
    env: SpeechAnimationEnv, options: dict[str, Any], message: str
) -> None:
    """A misspelt option that is ignored animates the wrong thing without a word."""
    with pytest.raises(InputError, match=re.escape(message)):
        env.reset(options=options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"emotion": "bored"}, "`emotion` must be one of neutral, angry, "),
        ({"emotion": "sad", "intensity": 4}, "`intensity` must be 1 to 3, got 4"),
        ({"emotion": "sad", "mood": "sad"}, "speaker, got mood"),
    ],
)
def test_a_refused_reset_leaves_the_episode_as_it_was(
    env: SpeechAnimationEnv, options: dict[str, Any], message: str
) -> None:
    """A caller that catches the error must not go on with one audio under another's index."""
    expected = rollout(env, seed=0, options={"utterance": 1})
    actions = np.random.default_rng(0)
    env.reset(options={"utterance": 1})
    for step in range(int(env.sequence_task.lengths[1])):
        if step == 5:
            with pytest.raises(InputError, match=re.escape(message)):
                env.reset(options={"utterance": 6, **options})
        seen = env.step(actions.integers(16))
        np.testing.assert_equal(list(seen), expected[2 + 5 * step : 7 + 5 * step])
    assert seen[2], "the episode must end where it would have ended"


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"options": {"utterance": 12}}, "`utterance` must be an id or in 0..11, got 12"),
        (
            {"options": {"mood": "sad"}},
            "`options` must be among utterance, emotion, intensity, speaker, got mood",
        ),
        ({"options": {"emotion": "bored"}}, "`emotion` must be one of neutral, angry, "),
        (
            {"options": {"utterance": 12}, "seed": 3},
            "`utterance` must be an id or in 0..11, got 12",
        ),
    ],
)
def test_a_refused_reset_draws_nothing(
    env: SpeechAnimationEnv, refused: dict[str, Any], message: str
) -> None:
    """Episodes after it would be others, and a run with a caught error could not be repeated."""

    def draw(n: int, **arguments: Any) -> list[int]:
        resets = ({} if count else arguments for count in range(n))
        return [int(env.reset(**each)[0]["utterance"][0]) for each in resets]

    expected = draw(20, seed=1)
    first = draw(10, seed=1)
    with pytest.raises(InputError, match=re.escape(message)):
        env.reset(**refused)
    assert first + draw(10) == expected


def test_a_refused_first_reset_starts_nothing(env: SpeechAnimationEnv) -> None:
    """A step would write into half an episode."""
    with pytest.raises(InputError, match=re.escape("`emotion` must be one of")):
        env.reset(options={"utterance": 6, "emotion": "bored"})
    message = "`step` must follow `reset`, got an episode that has not begun"
    with pytest.raises(ResetNeeded, match=re.escape(message)):
        env.step(0)


@pytest.mark.parametrize(
    ("action", "shown"),
    [(-1, "-1"), (16, "16"), (1.0, "1.0"), ("1", "'1'"), (np.array([1]), "array([1])")],
)
def test_bad_actions_are_rejected(env: SpeechAnimationEnv, action: Any, shown: str) -> None:
    """-1 would be padding from then on, and 16 a code of nobody's."""
    env.reset(seed=0)
    message = f"`action` must be an integer in 0..15, got {shown}"
    with pytest.raises(InputError, match=re.escape(message)):
        env.step(action)
    assert env.step(0)[0]["step"].tolist() == [1], "a refused action must not count"


@pytest.mark.parametrize("action", [0, 15, np.int64(15), np.int32(3), np.array(7)])
def test_the_limits_of_the_action_space_are_allowed(env: SpeechAnimationEnv, action: Any) -> None:
    """Algorithms hand over numpy's integers, or arrays of no axis."""
    env.reset(seed=0)
    assert env.step(action)[0]["last_tokens"][-1] == int(action)


def test_a_step_needs_a_reset(env: SpeechAnimationEnv) -> None:
    """Steps after the end would write a second animation behind the first."""
    with pytest.raises(ResetNeeded, match=re.escape("`step` must follow `reset`, got an episode")):
        env.step(0)
    rollout(env, seed=0)
    message = "`step` must follow `reset`, got an episode that has ended"
    with pytest.raises(ResetNeeded, match=re.escape(message)):
        env.step(0)
    env.reset(seed=0)
    env.step(0)


def test_a_step_before_the_first_reset_says_so(env: SpeechAnimationEnv) -> None:
    """ "Ended" would send a beginner looking for the wrong mistake."""
    message = "`step` must follow `reset`, got an episode that has not begun"
    with pytest.raises(ResetNeeded, match=re.escape(message)):
        env.step(0)


def test_a_reset_in_the_middle_begins_anew(env: SpeechAnimationEnv) -> None:
    """Tokens of the episode given up must not end up in the next."""
    whole = rollout(env, seed=3)
    env.reset(seed=0)
    for _ in range(10):
        env.step(1)
    np.testing.assert_equal(rollout(env, seed=3), whole)


@pytest.mark.parametrize("corpus", ["synthetic-mead", ""])
def test_task_and_corpus_exclude_each_other(tiny_task: AnimationTask, corpus: str) -> None:
    """Which of the two was animated would be a guess."""
    message = f"`corpus` must be left out beside `task`, got {corpus!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationEnv(task=tiny_task, corpus=corpus, reward="accuracy")


def test_an_unknown_split_is_rejected(tiny_task: AnimationTask) -> None:
    """The message lists the splits."""
    message = "`split` must be one of train, validation, test, got 'dev'"
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationEnv(task=tiny_task, reward="accuracy", split="dev")


def test_an_empty_split_is_rejected(
    tiny_task: AnimationTask, tiny_corpus: Corpus, make_corpus: Callable[..., Corpus]
) -> None:
    """Small folders have no validation split; the first reset would fail inside numpy."""
    utterances = [tiny_corpus[index] for index in range(12)]
    corpus = make_corpus(utterances, {"train": range(12), "validation": [], "test": []})
    task = dataclasses.replace(tiny_task, corpus=corpus)
    message = "`split` must hold at least one utterance, got 'test' with none"
    with pytest.raises(InputError, match=re.escape(message)):
        SpeechAnimationEnv(task=task, reward="accuracy", split="test")
    SpeechAnimationEnv(task=task, reward="accuracy", split="train")


def test_gymnasium_makes_it_by_name(tiny_task: AnimationTask) -> None:
    """`TimeLimit` would truncate long utterances and lose their reward."""
    spec = gymnasium.spec("ESARM-v0")
    assert spec.max_episode_steps is None
    with gymnasium.make("ESARM-v0", task=tiny_task, reward="accuracy") as env:
        assert isinstance(env.unwrapped, SpeechAnimationEnv)
        assert env.unwrapped.sequence_task is tiny_task, "a copy would cost its memory again"
        assert env.get_wrapper_attr("sequence_task") is tiny_task
        seen = rollout(env, seed=2)
    plain = rollout(SpeechAnimationEnv(task=tiny_task, reward="accuracy"), seed=2)
    np.testing.assert_equal(seen, plain)


def test_a_reward_of_ones_own_plugs_in(tiny_task: AnimationTask) -> None:
    """The second of the sentences that a user must be able to say."""
    reward = TokenSum()
    env = SpeechAnimationEnv(task=tiny_task, reward=reward)
    seen = rollout(env, seed=4, options={"utterance": 6})
    tokens = np.random.default_rng(4).integers(16, size=20)
    assert seen[-4] == pytest.approx(tokens.sum() / 100)
    assert seen[-1]["rewards"] == {"TokenSum": seen[-4]}
    (trajectory,) = reward.seen
    assert trajectory.utterance.tolist() == [6]
    assert trajectory.tokens.tolist() == [tokens.tolist()]
    assert trajectory.lengths.tolist() == [20]


def test_a_reward_that_is_not_finite_names_the_utterance(tiny_task: AnimationTask) -> None:
    """One nan in a buffer turns every weight into nan an update later."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Broken())
    message = "reward 'Broken' must be finite, got nan for 'cleo-06'"
    with pytest.raises(RewardError, match=re.escape(message)):
        rollout(env, seed=0, options={"utterance": 6})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_batch_with_a_score_that_is_not_finite_names_the_utterance(
    tiny_task: AnimationTask, value: float
) -> None:
    """Sequence trainers score batches: the row at fault must be found among the good ones."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Broken(value))
    message = f"reward 'Broken' must be finite, got {value} for 'cleo-06'"
    for utterances, bad in (([4, 6, 10], True), ([6], True), ([4, 10], False)):
        recorded = tiny_task.recorded(np.array(utterances))
        batch = (recorded.utterance, recorded.tokens, recorded.lengths, recorded.condition)
        if bad:
            with pytest.raises(RewardError, match=re.escape(message)):
                env.score_tokens(*batch)
        else:
            assert env.score_tokens(*batch).tolist() == [0.5, 0.5]


def test_whole_sequences_score_as_their_steps_do(env: SpeechAnimationEnv) -> None:
    """Sequence trainers skip the steps; they must be paid the same."""
    utterances = np.array([4, 6, 10])
    stepped = [
        rollout(env, seed=int(index), options={"utterance": int(index)}) for index in utterances
    ]
    lengths = env.sequence_task.lengths[utterances]
    tokens = np.full((3, 48), -1)
    for row, seen in zip(tokens, stepped, strict=True):
        row[: len(seen[-1]["tokens"])] = seen[-1]["tokens"]
    condition = env.sequence_task.condition_of(utterances)
    scores = env.score_tokens(utterances, tokens, lengths, condition)
    assert scores.shape == (3,)
    np.testing.assert_allclose(scores, [seen[-4] for seen in stepped], rtol=1e-5)


def test_recorded_tokens_score_better_than_random_ones(env: SpeechAnimationEnv) -> None:
    """A reward with its sign the wrong way round would train grimaces."""
    recorded = env.sequence_task.recorded(env.utterances)
    best = env.score_tokens(
        recorded.utterance, recorded.tokens, recorded.lengths, recorded.condition
    )
    random = [rollout(env, seed=0, options={"utterance": int(i)})[-4] for i in env.utterances]
    assert (best > np.array(random)).all()


def test_a_stock_algorithm_learns_on_it(tiny_task: AnimationTask) -> None:
    """The first minutes of every user: Stable-Baselines3's PPO, as it is."""
    env = gymnasium.make("ESARM-v0", task=tiny_task, reward="accuracy", metrics=False)
    model = stable_baselines3.PPO(
        "MultiInputPolicy", env, n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu"
    )
    model.learn(256)
    assert model.num_timesteps == 256
    episodes = [episode["l"] for episode in model.ep_info_buffer or ()]
    assert len(episodes) >= 4
    assert set(episodes) <= set(tiny_task.lengths[:8].tolist()), "episodes must not be cut"
    assert all(np.isfinite(episode["r"]) for episode in model.ep_info_buffer or ())
    action, _ = model.predict(env.reset(seed=0)[0])
    assert env.action_space.contains(action)

"""What the sequence trainers share: whole episodes in, SB3's manners outside, exact resumption."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.common.advantages import per_token, scaled_advantages
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.faults import TrainingFault
from agents.network.transformer import MotionTransformer
from agents.ppo import SequencePPO
from agents.protocols import FloatArray, IntArray, SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer

Env = gymnasium.Env[Any, Any]
MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., Env]
MakeModel = Callable[..., MotionTransformer]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., Any]
Learn = Callable[..., dict[str, float]]
Weights = dict[str, torch.Tensor]

both = pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce])


def _weights(algorithm: SequenceAlgorithm) -> Weights:
    return copy.deepcopy(algorithm.model.state_dict())


def _assert_equal(one: Weights, two: Weights) -> None:
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), f"{name} differs"


def _differ(one: Weights, two: Weights) -> bool:
    return any(not torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def clone(task: SequenceTask, make_model: MakeModel, network: dict[str, Any]) -> MotionTransformer:
    """Return far-off weights to start from, as a clone's would be."""
    return make_model(task, seed=5, **network["network"])


class Recorder(BaseCallback):
    """Notes every event, and stops after `limit` steps."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.events: list[tuple[str, int]] = []
        self._limit = limit

    def _note(self, event: str) -> None:
        self.events.append((event, self.num_timesteps))

    def _on_rollout_start(self) -> None:
        self._note("start")

    def _on_step(self) -> bool:
        self._note("step")
        return self.n_calls != self._limit

    def _on_rollout_end(self) -> None:
        self._note("end")


@both
def test_the_same_seed_learns_the_same_weights(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, kind: type[SequenceAlgorithm]
) -> None:
    """A result nobody can repeat is no result; the global generators must not matter."""
    first, again, other = (make_algorithm(kind, env, seed=seed) for seed in (1, 1, 2))
    learn(first, n_iterations=2)
    torch.manual_seed(99)
    learn(again, n_iterations=2)
    learn(other, n_iterations=2)
    _assert_equal(_weights(first), _weights(again))
    assert _differ(_weights(first), _weights(other))


def test_no_seed_draws_one(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """Two unseeded runs that agree would pass for independent repetitions."""
    seeds = {make_algorithm(SequencePPO, env, seed=None).seed for _ in range(3)}
    assert len(seeds) == 3


@both
def test_the_number_of_environments_does_not_matter(
    make_env: MakeEnv,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    kind: type[SequenceAlgorithm],
) -> None:
    """Episodes come from the task in batches: 4 environments must give what 1 gives."""
    vectorised = DummyVecEnv([lambda: Monitor(make_env(task)) for _ in range(4)])
    one, four = make_algorithm(kind, make_env(task)), make_algorithm(kind, vectorised)
    learn(one)
    learn(four)
    _assert_equal(_weights(one), _weights(four))


@both
def test_resuming_is_bit_for_bit_the_uninterrupted_run(
    env: Env,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
) -> None:
    """Weights, optimiser and the iteration's number are all the state there is."""

    def fresh() -> SequenceAlgorithm:
        algorithm = make_algorithm(kind, env, kl_coef=0.1)
        algorithm.warm_start(clone.state_dict())
        return algorithm

    straight = fresh()
    learn(straight, n_iterations=4)
    interrupted = fresh()
    learn(interrupted, n_iterations=2)
    model = _weights(interrupted)
    optimizer = copy.deepcopy(interrupted.policy.optimizer.state_dict())
    torch.manual_seed(99)
    resumed = fresh()
    resumed.model.load_state_dict(model)
    resumed.policy.optimizer.load_state_dict(optimizer)
    resumed.n_iterations = interrupted.n_iterations
    learn(resumed, n_iterations=2)
    assert resumed.n_iterations == straight.n_iterations == 4
    _assert_equal(_weights(straight), _weights(resumed))


@both
def test_a_saved_algorithm_loads_and_goes_on(
    make_env: MakeEnv,
    task: SequenceTask,
    tmp_path: Path,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
) -> None:
    """SB3's own save and load: predictions, reference and all that follows must be the same."""
    env = make_env(task)
    extra = {"batch_tokens": 32} if kind is SequencePPO else {"samples_per_utterance": 2}
    algorithm = make_algorithm(kind, env, kl_coef=0.1, **extra)
    algorithm.warm_start(clone.state_dict())
    learn(algorithm, n_iterations=2)
    algorithm.save(tmp_path / "agent")
    loaded = kind.load(tmp_path / "agent", env=make_env(task))
    _assert_equal(_weights(algorithm), _weights(loaded))
    _assert_equal(algorithm.reference.state_dict(), loaded.reference.state_dict())
    names = ("n_episodes", "batch_tokens", "samples_per_utterance", "n_epochs", "kl_coef", "seed")
    for name in (*names, "num_timesteps", "n_iterations"):
        assert getattr(loaded, name) == getattr(algorithm, name), name
    obs, _ = env.reset(seed=0)
    assert (
        loaded.predict(obs, deterministic=True)[0] == algorithm.predict(obs, deterministic=True)[0]
    )
    learn(algorithm, n_iterations=2)
    learn(loaded, n_iterations=2)
    _assert_equal(_weights(algorithm), _weights(loaded))


def test_an_algorithm_loads_without_an_environment(
    env: Env, tmp_path: Path, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """Acting needs no task: a saved agent must run where the corpus is not."""
    algorithm = make_algorithm(SequencePPO, env)
    learn(algorithm)
    algorithm.save(tmp_path / "agent")
    loaded = SequencePPO.load(tmp_path / "agent", None, "cpu")  # as SB3 orders its arguments
    obs, _ = env.reset(seed=0)
    assert (
        loaded.predict(obs, deterministic=True)[0] == algorithm.predict(obs, deterministic=True)[0]
    )


@both
def test_callbacks_see_every_token(
    env: Env, make_algorithm: MakeAlgorithm, kind: type[SequenceAlgorithm]
) -> None:
    """Checkpoints and evaluations hang on these calls, and x-axes on the count of tokens."""
    algorithm = make_algorithm(kind, env, n_episodes=48)  # all 12 utterances, 4 times each
    recorder = Recorder()
    algorithm.learn(200, callback=recorder)
    # Lengths are 2, 4 and 6, 16 episodes of each: 192 tokens an iteration, so 200 take two.
    tokens = range(1, 193)
    first = [("start", 0), *(("step", n) for n in tokens), ("end", 192)]
    second = [("start", 192), *(("step", 192 + n) for n in tokens), ("end", 384)]
    assert recorder.events == first + second
    assert algorithm.num_timesteps == 384
    assert algorithm.n_iterations == 2
    assert recorder.n_calls == 384


def test_a_callback_can_stop(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """An early stop must neither train on the last roll-out nor announce its end."""
    algorithm = make_algorithm(SequencePPO, env, n_episodes=48)
    before = _weights(algorithm)
    recorder = Recorder(limit=3)
    algorithm.learn(1000, callback=recorder)
    assert [event for event, _ in recorder.events] == ["start", "step", "step", "step"]
    assert algorithm.num_timesteps == 3
    _assert_equal(before, _weights(algorithm))


def test_sb3s_evaluation_callback_works(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm
) -> None:
    """It steps the policy being trained: between updates no cache may be stale."""
    watch = EvalCallback(
        Monitor(make_env(task, [0, 1])), eval_freq=70, n_eval_episodes=4, verbose=0
    )
    make_algorithm(SequencePPO, make_env(task), n_episodes=48).learn(400, callback=watch)
    assert 0 <= watch.best_mean_reward <= 1


def test_episodes_reach_sb3s_statistics(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """`ep_rew_mean` is what everybody looks at first."""
    algorithm = make_algorithm(SequencePPO, env)
    logged = learn(algorithm)
    assert algorithm.ep_info_buffer is not None and algorithm.batch is not None
    noted = [(each["r"], each["l"]) for each in algorithm.ep_info_buffer]
    batch = algorithm.batch
    assert noted == list(zip(batch.scores.tolist(), batch.lengths.tolist(), strict=True))
    assert logged["rollout/score"] == pytest.approx(batch.scores.mean())


def test_an_iteration_samples_each_utterance_as_often_as_asked(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """Baselines compare samples of one utterance; those of the split only may be drawn."""
    pool = [1, 3, 4, 6, 8, 9, 11]
    env = make_env(task, pool)
    algorithm = make_algorithm(SequencePPO, env, n_episodes=15, samples_per_utterance=3)
    drawn = []
    for _ in range(3):
        learn(algorithm)
        assert algorithm.batch is not None
        utterances, counts = np.unique(algorithm.batch.utterances, return_counts=True)
        assert counts.tolist() == [3] * 5
        assert set(utterances.tolist()) <= set(pool)
        drawn.append(tuple(utterances.tolist()))
        score = env.get_wrapper_attr("score_tokens")
        batch = algorithm.batch
        again = score(batch.utterances, batch.tokens, batch.lengths, batch.condition)
        np.testing.assert_array_equal(batch.scores, again)
        np.testing.assert_array_equal(batch.lengths, task.lengths[batch.utterances])
        np.testing.assert_array_equal(batch.condition, task.condition_of(batch.utterances))
    assert len(set(drawn)) > 1


def test_a_small_pool_gives_no_episode_twice(
    make_task: MakeTask, make_env: MakeEnv, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """A copy is no evidence, and in leave-one-out it is compared with itself."""
    env = make_env(make_task(n_tokens=16, max_chunks=1, tokens_per_chunk=8), [3])
    algorithm = make_algorithm(SequencePPO, env, n_episodes=16, samples_per_utterance=4)
    learn(algorithm)
    assert algorithm.batch is not None
    assert len({tuple(tokens) for tokens in algorithm.batch.tokens.tolist()}) == 16


@both
def test_the_logged_figures_are_those_of_the_formulas(
    env: Env,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    make_model: MakeModel,
    learn: Learn,
    clone: MotionTransformer,
    network: dict[str, Any],
    kind: type[SequenceAlgorithm],
) -> None:
    """Every figure again, token by token, in a loop; one masked mean too few looks fine on a plot.

    One minibatch and one epoch, so that the figures are those before the update.
    """
    extra = {"n_epochs": 1, "batch_tokens": None} if kind is SequencePPO else {}
    algorithm = make_algorithm(kind, env, kl_coef=0.1, **extra)
    algorithm.warm_start(clone.state_dict())
    moved = make_model(task, seed=6, **network["network"])
    algorithm.model.load_state_dict(moved.state_dict())
    logged = learn(algorithm)
    batch = algorithm.batch
    assert batch is not None
    inputs = (
        torch.from_numpy(task.audio_windows(batch.utterances)),
        torch.from_numpy(batch.condition),
        torch.from_numpy(batch.tokens),
    )
    with torch.no_grad():
        logits, values = moved(*inputs)
        reference, _ = clone(*inputs)
    ours, theirs = logits.double().log_softmax(-1), reference.double().log_softmax(-1)
    rows: dict[str, list[float]] = {"kl": [], "entropy": [], "value_loss": [], "advantage": []}
    log_probs = []
    for n in range(16):
        for t in range(batch.lengths[n]):
            p = ours[n, t].exp()
            rows["kl"].append(float((p * (ours[n, t] - theirs[n, t])).sum()))
            rows["entropy"].append(float(-(p * ours[n, t]).sum()))
            rows["value_loss"].append(float(values[n, t] - batch.returns[n, t]) ** 2)
            rows["advantage"].append(float(batch.advantages[n, t]))
            log_probs.append(float(ours[n, t, batch.tokens[n, t]]))
    advantages = np.array(rows.pop("advantage"))
    advantages = advantages / np.sqrt(np.mean(advantages**2))
    weight = 1.0 if kind is SequencePPO else np.array(log_probs)  # PPO's ratio is still 1
    rows["policy_loss"] = [float((-advantages * weight).mean())]
    for name, values_of in rows.items():
        assert logged[f"train/{name}"] == pytest.approx(np.mean(values_of), abs=1e-4), name
    assert logged["train/kl"] > 0.01


@both
def test_a_warm_start_is_also_the_reference(
    env: Env,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
) -> None:
    """Held to anything else than its start, the policy would be pulled away from the recordings."""
    extra = {"n_epochs": 1, "batch_tokens": None} if kind is SequencePPO else {}
    algorithm = make_algorithm(kind, env, kl_coef=0.1, **extra)
    algorithm.warm_start(clone.state_dict())
    _assert_equal(_weights(algorithm), clone.state_dict())
    _assert_equal(algorithm.reference.state_dict(), clone.state_dict())
    assert abs(learn(algorithm)["train/kl"]) < 1e-6, "the divergence before the first update"
    assert learn(algorithm)["train/kl"] > 1e-6
    assert _differ(_weights(algorithm), clone.state_dict())
    _assert_equal(algorithm.reference.state_dict(), clone.state_dict())


@both
def test_a_huge_divergence_weight_keeps_the_policy_at_its_reference(
    env: Env,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
) -> None:
    """A KL term of the wrong sign, or of no weight, lets the reward be hacked unchecked."""
    divergence = {}
    for kl_coef in (1e-9, 1000.0):
        algorithm = make_algorithm(kind, env, kl_coef=kl_coef, learning_rate=2e-3)
        algorithm.warm_start(clone.state_dict())
        divergence[kl_coef] = learn(algorithm, n_iterations=12)["train/kl"]
    assert divergence[1e-9] > 0.05
    assert divergence[1000.0] < 0.1 * divergence[1e-9]


@both
def test_an_entropy_bonus_raises_the_entropy(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, kind: type[SequenceAlgorithm]
) -> None:
    """A bonus of the wrong sign collapses the policy onto one token."""
    entropy = {
        coef: learn(make_algorithm(kind, env, ent_coef=coef), n_iterations=8)["train/entropy"]
        for coef in (0.0, 10.0)
    }
    assert entropy[10.0] > entropy[0.0]
    assert entropy[10.0] == pytest.approx(np.log(4), abs=0.05)


def test_a_schedule_sets_the_rate(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """192 tokens an iteration, 768 in all: 3/4, 1/2, 1/4 of the progress remain, then none."""
    seen: list[float] = []

    def schedule(progress: float) -> float:
        seen.append(progress)
        return 1e-3 * progress

    algorithm = make_algorithm(SequencePPO, env, n_episodes=48, learning_rate=schedule)
    algorithm.learn(768)
    assert sorted(set(seen), reverse=True) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert [group["lr"] for group in algorithm.policy.optimizer.param_groups] == [0.0]


def test_a_schedule_never_sees_negative_progress(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """Whole episodes overshoot the total, and a negative rate climbs the loss."""
    seen: list[float] = []

    def schedule(progress: float) -> float:
        seen.append(progress)
        return 1e-3

    make_algorithm(SequencePPO, env, learning_rate=schedule).learn(1)
    assert min(seen) >= 0


def test_set_env_changes_what_is_trained_on(
    make_task: MakeTask,
    make_env: MakeEnv,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    task: SequenceTask,
) -> None:
    """The next stage of a curriculum must come from the new environment: task, pool and score."""
    algorithm = make_algorithm(SequencePPO, make_env(task, range(6)))
    learn(algorithm)
    other = make_task(seed=1)
    algorithm.set_env(make_env(other, range(6, 12)))
    assert algorithm.task is other
    learn(algorithm)
    assert algorithm.batch is not None
    assert set(algorithm.batch.utterances.tolist()) <= set(range(6, 12))
    np.testing.assert_array_equal(
        algorithm.batch.condition, other.condition_of(algorithm.batch.utterances)
    )


def _score_of(value: float, utterance: int) -> Callable[..., FloatArray]:
    def score(
        utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        return np.where(utterances == utterance, value, 0.5).astype(np.float32)

    return score


@both
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_names_its_utterances(
    env: Env, make_algorithm: MakeAlgorithm, kind: type[SequenceAlgorithm], value: float
) -> None:
    """One nan turns all weights to nan; by the next iteration nobody knows where it came from."""
    env.unwrapped.score_tokens = _score_of(value, 3)  # type: ignore[attr-defined]
    algorithm = make_algorithm(kind, env, n_episodes=48)
    before = _weights(algorithm)
    rule = (
        f"scores must be finite, got {value} for utterances [3], at step 0 (iteration 0); "
        "no checkpoint was written: pass `CheckpointCallback(save_freq, save_path)` to `learn`"
    )
    with pytest.raises(TrainingFault, match=re.escape(rule)):
        algorithm.learn(1)
    _assert_equal(before, _weights(algorithm))


@both
def test_a_finite_but_enormous_score_is_allowed(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, kind: type[SequenceAlgorithm]
) -> None:
    """A reward's scale is its author's; scaled advantages take it."""
    env.unwrapped.score_tokens = _score_of(1e6, 3)  # type: ignore[attr-defined]
    algorithm = make_algorithm(kind, env, n_episodes=48)
    learn(algorithm)
    assert all(torch.isfinite(each).all() for each in algorithm.model.parameters())


def test_a_loss_that_is_no_number_stops_the_training(
    env: Env, make_algorithm: MakeAlgorithm
) -> None:
    """Weights that blew up would go on being saved as checkpoints."""
    algorithm = make_algorithm(SequencePPO, env)
    with torch.no_grad():
        algorithm.model.to_logits.fill_(float("nan"))
    rule = r"loss must be finite, got nan for utterances \[.*\], at step \d+ \(iteration 0\); "
    with pytest.raises(TrainingFault, match=rule + "no checkpoint was written"):
        algorithm.learn(1)


class Cliff(SequencePPO):
    """Has a finite loss everywhere, and at 0 no gradient."""

    def policy_loss(self, batch: EpisodeBatch, log_probs: torch.Tensor) -> torch.Tensor:
        return (0.0 * log_probs).abs().sqrt()


def test_a_gradient_that_is_no_number_is_not_stepped_on(
    env: Env, make_algorithm: MakeAlgorithm
) -> None:
    """The loss is finite, the weights would be nan, and so would be the next checkpoint."""
    algorithm = make_algorithm(Cliff, env)
    before = _weights(algorithm)
    rule = r"gradient norm must be finite, got nan for utterances \[.*\], at step \d+"
    with pytest.raises(TrainingFault, match=rule):
        algorithm.learn(1)
    _assert_equal(before, _weights(algorithm))


@pytest.mark.parametrize(("n_episodes", "samples"), [(0, 4), (-4, 4), (6, 4), (2, 4)])
@both
def test_episodes_that_samples_do_not_divide_are_rejected(
    env: Env,
    make_algorithm: MakeAlgorithm,
    kind: type[SequenceAlgorithm],
    n_episodes: int,
    samples: int,
) -> None:
    """A group cut short would be compared with fewer others than the method says."""
    rule = (
        "`n_episodes` must be a positive multiple of `samples_per_utterance` "
        f"({samples}), got {n_episodes}"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(kind, env, n_episodes=n_episodes, samples_per_utterance=samples)


@pytest.mark.parametrize(("n_episodes", "samples"), [(2, 2), (1, 1), (12, 4)])
def test_a_multiple_of_the_samples_is_allowed(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, n_episodes: int, samples: int
) -> None:
    """One group, even of one episode, is the smallest iteration."""
    algorithm = make_algorithm(
        SequencePPO, env, n_episodes=n_episodes, samples_per_utterance=samples
    )
    learn(algorithm)
    assert len(algorithm.batch) == n_episodes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("samples_per_utterance", 0, "at least 1"),
        ("n_epochs", 0, "at least 1"),
        ("batch_tokens", 0, "at least 1"),
        ("temperature", 0.0, "at least 0.001 and finite"),
        ("temperature", -1.0, "at least 0.001 and finite"),
        ("temperature", float("nan"), "at least 0.001 and finite"),
        ("temperature", float("inf"), "at least 0.001 and finite"),
        ("gamma", 1.5, "in [0, 1]"),
        ("gamma", float("nan"), "in [0, 1]"),
        ("gae_lambda", -0.5, "in [0, 1]"),
    ],
)
def test_a_setting_out_of_range_is_rejected_at_once(
    env: Env, make_algorithm: MakeAlgorithm, name: str, value: float, rule: str
) -> None:
    """A ZeroDivisionError, or an IndexError after the first roll-out, names no setting."""
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be {rule}, got {value}")):
        make_algorithm(SequencePPO, env, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples_per_utterance", 1),
        ("n_epochs", 1),
        ("batch_tokens", 1),
        ("temperature", 0.001),
        *((name, value) for name in ("gamma", "gae_lambda") for value in (0.0, 1.0)),
    ],
)
def test_the_limits_of_a_setting_are_allowed(
    env: Env, make_algorithm: MakeAlgorithm, name: str, value: float
) -> None:
    """The ends of a range are what an ablation tries first."""
    assert getattr(make_algorithm(SequencePPO, env, **{name: value}), name) == value


def test_training_without_a_task_is_rejected(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """The error must name what a new environment lacks, and not be met inside numpy."""
    algorithm = make_algorithm(SequencePPO, env)
    del env.unwrapped.sequence_task  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=re.escape("`env` must offer `sequence_task`")):
        algorithm.set_env(env)


@pytest.mark.parametrize("name", ["sequence_task", "score_tokens", "utterances"])
def test_an_environment_without_a_task_is_rejected_at_once(
    env: Env, make_algorithm: MakeAlgorithm, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before an hour has gone into set-up."""
    base = env.unwrapped
    monkeypatch.delattr(base if name in vars(base) else type(base), name)
    with pytest.raises(ValueError, match=re.escape(f"`env` must offer `{name}`")):
        make_algorithm(SequencePPO, env)


def test_advantages_are_divided_by_their_root_mean_square(make_batch: MakeBatch) -> None:
    """3, -4 and 12 by hand: the sign stays, padding is not counted, the mean is left alone."""
    batch = make_batch(1, 2, advantages=np.array([[3, 0], [-4, 12]], np.float32))
    scaled = scaled_advantages(EpisodeBuffer.pack(batch))
    expected = np.array([3, -4, 12]) * np.sqrt(3) / 13
    np.testing.assert_allclose(scaled.advantages, expected, rtol=1e-6)
    assert scaled.advantages.dtype == np.float32
    equal = make_batch(1, 1, advantages=np.array([[7], [7]], np.float32))
    assert scaled_advantages(EpisodeBuffer.pack(equal)).advantages.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("score", "size", "kept"),
    [(0.7, 0, 0), (0.7, 1e-6, 0), (0.7, 1e-4, 1), (1000, 5e-3, 0), (1000, 0.05, 1), (0, 0, 0)],
)
def test_rounding_errors_are_no_advantages(
    make_batch: MakeBatch, score: float, size: float, kept: int
) -> None:
    """Float32 scores of 1000 are 6e-5 apart: scaled up, the last bit would train the policy."""
    advantages, scores = np.array([[size], [-size]], np.float32), np.full(2, score, np.float32)
    batch = make_batch(1, 1, advantages=advantages, scores=scores)
    scaled = scaled_advantages(EpisodeBuffer.pack(batch))
    np.testing.assert_allclose(scaled.advantages, [kept, -kept], rtol=1e-6)


def test_spread_repeats_an_episodes_number_over_its_tokens(make_batch: MakeBatch) -> None:
    """A number in the padding would count as a token's advantage in every sum."""
    values = per_token(np.array([0.5, -2.0], np.float32), make_batch(3, 1))
    assert values.tolist() == [[0.5, 0.5, 0.5], [-2.0, 0, 0]]
    assert values.dtype == np.float32

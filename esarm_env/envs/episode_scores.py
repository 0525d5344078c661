"""Scores of an environment, scalar or vector: its reward, and whole sequences scored by it.

What decided about an environment when it was made stays as it was: setting such a name on one that
is there is refused, as nothing would read it. The reward alone can be set later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.types import FloatArray, IntArray, Trajectories
from esarm_env.rewards import RewardChoice, resolve_reward

if TYPE_CHECKING:
    from esarm_env.envs.episode_rules import EpisodeRules
    from esarm_env.rewards.combined import CombinedReward, Scores
    from esarm_env.rewards.validation import StreamScores
    from esarm_env.task.animation_task import AnimationTask

_OURS = "esarm_env."  # a subclass of somebody's own may call what it likes by these names


class ConstructorArgument:
    """Attribute that is an argument of the constructor, and that nothing reads afterwards."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name it is given in the class."""
        self._name = name

    def __get__(self, env: Any, kind: type) -> Any:
        """Return what a subclass has set; `AttributeError` as if this were not here."""
        if env is None:
            return self
        try:
            return vars(env)[self._name]
        except KeyError:
            raise AttributeError(f"{kind.__name__!r} has no attribute {self._name!r}") from None

    def __set__(self, env: Any, value: Any) -> None:
        """Refuse it, or keep it for a subclass.

        Raises:
            InputError: If the environment is one of ours.
        """
        if type(env).__module__.startswith(_OURS):
            other = "set `reward_function`, or make" if self._name == "reward" else "make"
            raise InputError(
                f"`{self._name}` must be given when the environment is made, and has no effect "
                f"afterwards, got {str(value)[:80]!r} for one that is there; {other} another one"
            )
        vars(env)[self._name] = value


class ReadableArgument(ConstructorArgument):
    """As `ConstructorArgument`, but the rules of the environment tell it to whoever asks."""

    def __get__(self, env: Any, kind: type) -> Any:
        """Return what was given, or what a subclass has set."""
        if env is None:
            return self
        own = vars(env)
        return own[self._name] if self._name in own else getattr(env._rules, self._name)


def is_argument(env: object, name: str) -> bool:
    """Return whether `name` is an argument of an environment's constructor, and nothing else."""
    return isinstance(getattr(type(env), name, None), ConstructorArgument)


class EpisodeScores:
    """Reward of an environment, and scores of finished sequences; mixed into both environments."""

    sequence_task: AnimationTask
    _rules: EpisodeRules

    run = ConstructorArgument()
    task = ConstructorArgument()
    corpus = ConstructorArgument()
    reward = ConstructorArgument()
    split = ConstructorArgument()
    sampling = ConstructorArgument()
    max_duration_s = ConstructorArgument()
    action_mask = ConstructorArgument()
    metrics = ConstructorArgument()
    reward_timing = ReadableArgument()

    @property
    def reward_function(self) -> CombinedReward:
        """The reward; set it to anything that the argument `reward` takes."""
        return self._rules.reward

    @reward_function.setter
    def reward_function(self, reward: RewardChoice) -> None:
        self._rules.reward = resolve_reward(reward, self.sequence_task, None)

    def score_tokens(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """Score a batch of finished sequences as `step` would at their ends, shape (N,).

        Trainers that write whole utterances call this once a batch; arguments as in `Trajectories`.
        """
        return self.reward_function.score(Trajectories(utterances, tokens, lengths, condition))

    @property
    def reward_weights(self) -> dict[str, float]:
        """Weight of each term of the reward, by name."""
        return self.reward_function.weights

    def score_terms(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> Scores:
        """As `score_tokens`, with the terms that it is the weighted sum of, (N,) each, as `terms`.

        The sum is `total`.
        """
        batch = Trajectories(utterances, tokens, lengths, condition)
        return self.reward_function.score_terms(batch)

    @property
    def reward_streams(self) -> tuple[str, ...]:
        """Streams of tokens that the reward scores apart (`mouth`, `upper`); empty if it cannot."""
        return self.reward_function.streams

    def score_streams(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> StreamScores:
        """As `score_tokens`, but a score per stream of tokens, (N,) each; they add up to it.

        Raises:
            ValueError: If `reward_streams` is empty.
        """
        batch = Trajectories(utterances, tokens, lengths, condition)
        return self.reward_function.score_streams(batch)

    @property
    def reward_chunk_streams(self) -> tuple[str, ...]:
        """Columns of `score_chunks`; empty if the reward cannot tell chunks apart."""
        return self.reward_function.chunk_streams

    def score_chunks(
        self, utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> FloatArray:
        """As `score_tokens`, but by chunk, (N, C, S); all of a row add up to its score.

        Raises:
            ValueError: If `reward_chunk_streams` is empty.
        """
        batch = Trajectories(utterances, tokens, lengths, condition)
        return self.reward_function.score_chunks(batch)

"""Vector environment checks: equality with scalar environments in every autoreset mode."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from esarm_env.doctor.check import AnyVectorEnv, CheckFailed, CheckSkipped, Subject
from esarm_env.doctor.contract import need_esarm
from esarm_env.doctor.determinism import expect_separate, expect_unharmed
from esarm_env.doctor.rollouts import LONGEST, Call, expect_equal, seeded, vector_rollout

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

NUM_ENVS, SEED = 3, 11
# Batched scoring adds float32 numbers in another order, so scores differ by rounding.
TOLERANCE = 1e-5
_SB3_KEYS = ("obs", "rewards", "dones", "infos", "reset_infos", "masks")


def check_vector(mode: AutoresetMode) -> Callable[[Subject], str]:
    """Return the check that the vector environment equals `SyncVectorEnv` over scalar ones."""
    return functools.partial(_compare, mode=mode)


def check_vector_memory(subject: Subject) -> str:
    """Check that the vector environment returns fresh memory, as the scalar one does."""
    mode = AutoresetMode.SAME_STEP  # the mode whose infos hold most
    with _vector(subject, mode) as env, _vector(subject, mode) as other:
        calls = list(vector_rollout(env, seed=SEED, mode=mode))
        expect_separate(calls)
        clean = vector_rollout(env, seed=SEED, mode=mode)
        expect_unharmed(clean, vector_rollout(other, seed=SEED, mode=mode))
    return f"{len(calls)} calls share nothing"


def check_sb3_view(subject: Subject) -> str:
    """Check that our SB3 `VecEnv` equals SB3's own over scalar environments."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    from esarm_env.sb3 import SB3VecEnv

    with subject.make() as scalar:
        need_esarm(scalar)
    with (
        _vector(subject, AutoresetMode.SAME_STEP) as env,
        contextlib.closing(DummyVecEnv([subject.make] * NUM_ENVS)) as reference,
    ):
        calls = expect_equal(
            _sb3_rollout(SB3VecEnv(env)),
            _sb3_rollout(reference),
            between="`SB3VecEnv` and `DummyVecEnv` over scalar ones",
            keys=_SB3_KEYS,
            tolerance=TOLERANCE,
        )
    return f"{len(calls)} calls as of `DummyVecEnv`"


def _sb3_rollout(env: VecEnv) -> Iterator[Call]:
    """Play until every environment has ended twice."""
    actions = seeded(env.action_space, SEED)
    env.seed(SEED)
    obs: Any = env.reset()
    yield Call("reset", {"obs": obs, "reset_infos": [*env.reset_infos]}, False)
    n_ends = np.zeros(env.num_envs, dtype=np.int64)
    for step in range(LONGEST):
        action = np.array([actions.sample() for _ in range(env.num_envs)])
        returned: dict[str, Any] = dict(zip(_SB3_KEYS, env.step(action), strict=False))
        returned["reset_infos"] = [*env.reset_infos]
        returned["masks"] = env.env_method("action_masks")
        n_ends += returned["dones"]
        yield Call(f"step {step + 1}", returned, returned["dones"], action)
        if n_ends.min() >= 2:
            break


def _compare(subject: Subject, mode: AutoresetMode) -> str:
    with _vector(subject, mode) as env:
        made = [subject.make for _ in range(NUM_ENVS)]
        with contextlib.closing(SyncVectorEnv(made, autoreset_mode=mode)) as reference:
            _compare_spaces(env, reference, mode)
            calls = expect_equal(
                vector_rollout(env, seed=SEED, mode=mode),
                vector_rollout(reference, seed=SEED, mode=mode),
                between=f"the vector environment and {NUM_ENVS} scalar ones",
                tolerance=TOLERANCE,
            )
    n_ends = int(sum(np.sum(call.ended) for call in calls))
    if not n_ends:
        raise CheckSkipped(f"no episode ended within {len(calls)} calls")
    return f"{len(calls)} calls of {NUM_ENVS} environments equal, {n_ends} ends"


def _vector(subject: Subject, mode: AutoresetMode) -> contextlib.closing[AnyVectorEnv]:
    """Make the vector environment, to be closed at the end of a `with` block."""
    if subject.spec.vector_entry_point is None:
        raise CheckSkipped(f"{subject.spec.id} is registered without `vector_entry_point`")
    if subject.spec.additional_wrappers:
        raise CheckSkipped(f"{subject.spec.id} is registered with wrappers, which have no vectors")
    try:
        return contextlib.closing(subject.make_vector(NUM_ENVS, mode))
    except TypeError as error:
        if "autoreset_mode" not in str(error):
            raise
        raise CheckSkipped("its vector environment takes no `autoreset_mode`") from error


def _compare_spaces(env: AnyVectorEnv, reference: SyncVectorEnv, mode: AutoresetMode) -> None:
    if env.num_envs != NUM_ENVS:
        raise CheckFailed(f"`num_envs` must be {NUM_ENVS}, got {env.num_envs}")
    if env.metadata.get("autoreset_mode") is not mode:
        got = env.metadata.get("autoreset_mode")
        raise CheckFailed(f'`metadata["autoreset_mode"]` must be {mode}, got {got!r}')
    for name in ("observation_space", "action_space"):
        for each in (name, f"single_{name}"):
            ours: Any = getattr(env, each)
            theirs: Any = getattr(reference, each)
            if ours != theirs:
                raise CheckFailed(f"`{each}` must be that of the scalar ones, {theirs}, got {ours}")

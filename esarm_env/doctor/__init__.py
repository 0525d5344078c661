"""`esarm doctor`: health checks of an installation, and contract checks of an environment.

- `registry`: the list of checks, in order.
- `check`: `Check`, its result, the environment under test (`Subject`), and the runner.
- `installation`: Python, packages, extras, registration, rewards.
- `storage`: shipped files and the cache.
- `contract`: Gymnasium's and SB3's checkers, spaces, ends of episodes, refused mistakes.
- `determinism`: seeds, replays, memory, pickling.
- `vectors`: equality of vector and scalar environments.
- `rollouts`, `comparison`: what these share: seeded roll-outs, differences of nested values.

In a test of an environment of one's own::

    from esarm_env.doctor import ENVIRONMENT_CHECKS, Subject, run_checks

    subject = Subject("my_package:Mine-v0", {"split": "test"})
    assert all(result.status != "FAIL" for result in run_checks(ENVIRONMENT_CHECKS, subject))
"""

from esarm_env.doctor.check import (
    DEFAULT_ENV,
    Check,
    CheckFailed,
    CheckSkipped,
    Result,
    Subject,
    run_checks,
)
from esarm_env.doctor.comparison import differences
from esarm_env.doctor.determinism import shared_memory
from esarm_env.doctor.registry import ENVIRONMENT_CHECKS, INSTALLATION_CHECKS

__all__ = [
    "DEFAULT_ENV",
    "ENVIRONMENT_CHECKS",
    "INSTALLATION_CHECKS",
    "Check",
    "CheckFailed",
    "CheckSkipped",
    "Result",
    "Subject",
    "differences",
    "run_checks",
    "shared_memory",
]

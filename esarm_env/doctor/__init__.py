"""`esarm doctor`: is this installation healthy, and does an environment keep its promises?

- `registry`: which checks there are, in order.
- `check`: what a check is, and how a list of them is run.
- `installation`, `storage`, `checkers`, `repeating`, `contract`, `vectors`: the checks, by topic.
- `subject`, `rollouts`, `comparing`, `sharing`, `nested`: what these have in common.

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

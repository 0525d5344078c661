"""`esarm doctor`: health checks of an installation, and contract checks of an environment.

- `check`: health checks: their type, their result, the environment under test, and the runner.
- `comparison`: comparison of nested values (dictionaries, lists, arrays), with the path of each
  difference.
- `contract`: contract checks of an environment: Gymnasium's and SB3's checkers, and ESARM's own
  rules.
- `determinism`: determinism checks of an environment: seeds, replays, pickling, and memory that
  calls share.
- `installation`: installation checks: Python, packages, extras, head, registration, reward plug-
  ins.
- `registry`: registry of health checks, in the order in which they are run.
- `requirements`: requirements of an installed package, as its metadata write them: name, range
  and extra.
- `rollouts`: seeded random roll-outs as streams of calls, so that two can be compared while they
  run.
- `storage`: storage checks: files that ship with the package, and cached files.
- `vectors`: vector environment checks: equality with scalar environments in every autoreset mode.

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

"""Hypothesis profiles: 200 inputs a reader in every run; `--hypothesis-profile=long` for 10,000."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
# The same inputs in every run; no clock decides; the database would make runs differ.
settings.register_profile(
    "ci",
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=_CHECKS,
    phases=[Phase.generate],
)
# `python -m pytest tests/properties --hypothesis-profile=long --hypothesis-seed=1`
settings.register_profile(
    "long", settings.get_profile("ci"), max_examples=10_000, derandomize=False
)
settings.load_profile("ci")

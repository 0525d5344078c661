"""`esarm bench`: measurements beside other people's work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from train.commands.options import write_json


def command_bench(
    what: Annotated[Literal["peers"], tyro.conf.Positional],
    /,
    *,
    run: Path = Path("runs/demo"),
    json: Path | None = None,
) -> None:
    """Measure a finished run beside its peers.

    Args:
        what: `peers`: lip error (LVE) on the test frames, policies against the rule-based
            `openfacefx` in loudness mode (extra `peers`).
        run: Folder of a run with a clone.
        json: Also write the figures to this file.
    """
    from esarm_env.metrics import variant_label
    from train.bench.peers import compare_with_peers
    from train.run_folder import RunFolder

    assert what == "peers", f"no benchmark called {what}"
    figures = compare_with_peers(RunFolder.open(run))
    print(f"{variant_label('lips')}, {figures['utterances']} test utterances, 95 % intervals")
    for name, (mean, low, high) in figures["lve_mm"].items():
        print(f"  {name}: {mean:.2f} [{low:.2f}, {high:.2f}]")
    for name, saving in figures["less_lve"].items():
        mean, low, high = saving["difference_mm"]
        print(f"{name}: {saving['share']:+.0%} less, {mean:.2f} [{low:.2f}, {high:.2f}] mm")
    write_json(figures, json)

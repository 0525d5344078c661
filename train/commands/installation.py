"""`esarm doctor`, `esarm scores`, `esarm assets`, and the deprecated `esarm rewards`."""

from __future__ import annotations

import json as json_format
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from train.commands.options import (
    Options,
    check_folder_target,
    check_json_target,
    use_threads,
    write_json,
)

if TYPE_CHECKING:
    from esarm_env.doctor import Result

EXIT_UNHEALTHY = 1
# ANSI codes: green, bold red, yellow.
_STYLES = {"ok": "32", "FAIL": "1;31", "skipped": "33"}
_BOLD = "1"
_COLUMN = 38  # where texts begin


def command_doctor(
    *, env: str | None = None, kwargs: str | None = None, json: Path | None = None
) -> None:
    """Check this installation, or an environment of your own.

    One line per check: `ok`, `FAIL` with a remedy, or `skipped` with the reason. The exit code is 1
    if a check failed. Nothing is changed or deleted.

    Args:
        env: Check only this environment, such as `ESARM-Short-v0`; one of your own with the module
            that registers it in front, as in `my_package:MyEnv-v0` (the working folder is searched,
            too). By default the installation and `ESARM-v0` are checked.
        kwargs: Arguments to make the environment with, as JSON, such as `'{"observation": "flat",
            "split": "test"}'`. Given without `--env`, `ESARM-v0` is checked with them alone.
        json: Also write what was found to this file.
    """
    from esarm_env.doctor import (
        DEFAULT_ENV,
        ENVIRONMENT_CHECKS,
        INSTALLATION_CHECKS,
        Subject,
        run_checks,
    )

    check_json_target(json)
    # Before torch is imported: for models this small, more threads only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    alone = env is not None or kwargs is not None
    subject = Subject(env or DEFAULT_ENV, _arguments(kwargs))
    if env is not None and os.getcwd() not in sys.path:
        import agents  # noqa: F401  # ours first: of an editable installation, files there would win
        import reward  # noqa: F401

        sys.path.append(os.getcwd())  # for an environment of the user's own
    checks = ENVIRONMENT_CHECKS if alone else (*INSTALLATION_CHECKS, *ENVIRONMENT_CHECKS)
    print(f"{subject.env_id} {json_format.dumps(subject.kwargs) if kwargs else ''}".strip())
    results = _show(run_checks(checks, subject))
    counts = {status: sum(r.status == status for r in results) for status in _STYLES}
    healthy = not counts["FAIL"]
    seconds = sum(result.seconds for result in results)
    counted = f"{counts['ok']} ok, {counts['FAIL']} failed, {counts['skipped']} skipped"
    style = _BOLD if healthy else _STYLES["FAIL"]
    print("\n" + _styled(f"{counted} in {seconds:.1f} s", style))
    found = {
        "env": subject.env_id,
        "kwargs": subject.kwargs,
        "healthy": healthy,
        "seconds": round(seconds, 3),
        "checks": [result.to_dict() for result in results],
    }
    write_json(found, json)
    if not healthy:
        sys.exit(EXIT_UNHEALTHY)


def _arguments(text: str | None) -> dict[str, Any]:
    """Return the arguments that `--kwargs` stands for."""
    rule = '`kwargs` must be a JSON object such as \'{"split": "test"}\''
    if text is None:
        return {}
    try:
        values = json_format.loads(text)
    except json_format.JSONDecodeError as error:
        raise InputError(f"{rule}, got {text!r} ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{rule}, got {text!r}")
    return values


def _show(results: Iterable[Result]) -> list[Result]:
    """Print each result as it comes; return all."""
    shown: list[Result] = []
    for result in results:
        if not shown or result.section != shown[-1].section:
            print("\n" + _styled(result.section, _BOLD))
        status = _styled(f"{result.status:<8}", _STYLES[result.status])
        print(f"  {status}{result.seconds:5.2f} s  {result.name:<19} {result.text}", flush=True)
        for detail in result.details:
            print(" " * _COLUMN + detail)
        if result.remedy:
            print(" " * _COLUMN + f"-> {result.remedy}")
        shown.append(result)
    return shown


def _styled(text: str, code: str) -> str:
    """Return `text` in a style of the terminal; as it is where it goes into a file."""
    plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR"))
    return text if plain else f"\033[{code}m{text}\033[0m"


_TRUTH = {True: "yes", False: "no", None: "?"}
_HEADINGS = ("reward", "ground truth", "package", "")


def command_rewards(*, json: Path | None = None) -> None:
    """List the installed rewards (deprecated: `esarm plugins` lists these and all others).

    Each is asked for by its name, as in `gymnasium.make("ESARM-v0", reward="learned")`, or in a
    weighted sum, `reward={"learned": 1.0, "jerk": -0.1}`. The second column tells whether it looks
    at the recorded motion, as only a measure of success should; `?` where that shows first when
    the reward is made.

    Args:
        json: Also write the list to this file.
    """
    old, new = "`esarm rewards`", "`esarm plugins`"
    print(f"esarm: {old} is deprecated and goes with the next version; use {new}", file=sys.stderr)
    check_json_target(json)
    rewards = _installed()
    rows = [_HEADINGS]
    for reward in rewards.values():
        text = reward["description"]
        if reward["error"] is not None:
            text = f"cannot be used: {reward['error'].splitlines()[0]}"
        needs = _TRUTH[reward["needs_ground_truth"]]
        rows.append((reward["usage"], needs, reward["package"], text))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    write_json({"rewards": rewards}, json)


def _installed() -> dict[str, dict[str, Any]]:
    from esarm_env.rewards import find_rewards

    keys = ("usage", "description", "needs_ground_truth", "argument", "package", "error")
    return {
        name: {key: getattr(reward, key) for key in keys} for name, reward in find_rewards().items()
    }


def command_scores(
    *,
    env: str | None = None,
    measure: bool = False,
    ppo_tokens: int = 200_000,
    seed: int = 0,
    threads: int = 0,
    json: Path | None = None,
) -> None:
    """Print the reference scores that ship.

    What is a good score on `ESARM-v0` and `ESARM-Short-v0`: return, LVE and EVE on the validation
    utterances that ship, as mean and standard error over the utterances, of random tokens, faces
    that do not move, stock PPO from nothing, the clone that ships, and the recording. A return is a
    score of the environment's reward; the errors are the truth.

    Args:
        env: Id of one of the two; by default both are printed.
        measure: Measure anew on this machine, nearly all of the time by training PPO, and print
            that; what ships stays as it is.
        ppo_tokens: With --measure, how many tokens stock PPO trains on in each environment.
        seed: With --measure, the seed of training, sampling and random tokens.
        threads: With --measure, how many CPU threads torch uses; 0 leaves the choice to torch.
        json: Also write the tables to this file.
    """
    from esarm_env.scores import SCORES_FILE, scores_from

    check_json_target(json)
    content = json_format.loads(SCORES_FILE.read_text(encoding="utf-8"))
    ids = list(content["tables"])
    if env not in (None, *ids):
        raise InputError(f"`env` must be one of {', '.join(ids)}, got {env!r}")
    wanted = ids if env is None else [env]
    if measure:
        if ppo_tokens < 1:
            raise InputError(f"`ppo_tokens` must be at least 1, got {ppo_tokens}")
        use_threads(threads)
        from train.assets.scores import measure_scores

        content = measure_scores(env_ids=wanted, ppo_tokens=ppo_tokens, seed=seed, note=_note)
    tables = scores_from(content)
    print("\n\n".join(tables[name].text() for name in wanted))
    write_json(content, json)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def command_assets(*, options: Options, out: Path = Path("esarm_env/assets")) -> None:
    """For developers: make the files that ship with the package.

    These are a small corpus, tokenizer, clone and reward model. The run is finished first; then a
    small corpus is chosen from the run's, the weights are copied in half precision and measured,
    and a manifest with all hashes is written.

    Args:
        options: Which run, and with which settings.
        out: Folder to write; an earlier one of its kind is replaced.
    """
    from esarm_env.core.run_layout import STAGES
    from train.assets.builder import make_assets
    from train.run.lock import locked
    from train.stages import STAGE_FUNCTIONS

    check_folder_target(out, name="out")
    run = options.open()
    with locked(run.path):
        for stage in STAGES:
            STAGE_FUNCTIONS[stage](run)
    manifest = make_assets(run, out)
    for name, file in manifest["files"].items():
        print(f"{file['bytes']:>9,} {name}")
    print(f"{sum(file['bytes'] for file in manifest['files'].values()):>9,} bytes in {out}")
    write_json(manifest, options.json)

"""`esarm assets`: make the files that ship with the package."""

from __future__ import annotations

from pathlib import Path

from train.commands.options import Options, write_json


def command_assets(*, options: Options, out: Path = Path("esarm_env/assets")) -> None:
    """Make the files that ship with the package: a small corpus, tokenizer, clone, reward model.

    Finishes the run first, if it is not finished; then chooses the small corpus from the run's,
    copies the weights in half precision, measures them, and writes a manifest with all hashes.

    Args:
        options: Which run, and with which settings.
        out: Folder to write; an earlier one of its kind is replaced.
    """
    from train.assets.building import make_assets
    from train.run_folder import STAGES
    from train.stages import STAGE_FUNCTIONS

    run = options.open()
    for stage in STAGES:
        STAGE_FUNCTIONS[stage](run)
    manifest = make_assets(run, out)
    for name, file in manifest["files"].items():
        print(f"{file['bytes']:>9,} {name}")
    print(f"{sum(file['bytes'] for file in manifest['files'].values()):>9,} bytes in {out}")
    write_json(manifest, options.json)

"""A run: its configuration, its folder, and the loop that drives its trainers.

- `config`: configuration of a run: presets, a YAML file, and `--set KEY=VALUE`, checked strictly.
- `loop`: training loop of a stage: progress bar, metrics on disk, checkpoints, resuming.
- `plain_yaml`: YAML of settings: plain values by text keys, bounded, nothing taken for another.
- `run_folder`: run folder: configuration and stages, each complete or absent.
- `setting_ranges`: ranges of all settings of a run, checked before its first stage works.
- `warm_start`: an algorithm warm-started from the clone, one iteration at a time, for
  `train.run.loop.drive`.
"""

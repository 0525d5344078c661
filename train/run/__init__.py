"""A run: its configuration, its folder, and the loop that drives its trainers.

- `config`: configuration of a run: presets, a YAML file, and `--set KEY=VALUE`, checked strictly.
- `kept_settings`: settings that the measurements of one folder share.
- `lock`: lock of a run folder: one process at a time writes into it; who only reads takes none.
- `loggers`: loggers of trainings beside `metrics.csv`: TensorBoard, Weights & Biases, or none.
- `loop`: training loop of a stage: progress bar, metrics on disk, checkpoints, resuming.
- `named_policies`: policies of a run by name, looked for without torch.
- `own_code`: algorithms and rewards of one's own, as `file.py:Class`, run only where named.
- `run_folder`: run folder: configuration and stages, each complete or absent.
- `setting_ranges`: ranges of all settings of a run, checked before its first stage works.
- `settings`: settings of the stages, and values as YAML and `--set` hold them.
- `stage_work`: a stage at work: what its partial folder began with, its wall time, its end in
  one rename.
- `warm_start`: an algorithm warm-started from the clone, one iteration at a time, for
  `train.run.loop.drive`.
"""

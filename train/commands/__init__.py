"""The commands of `esarm`, a module for each group.

- `ablations`: `esarm table2` and `esarm ablate`: what noise does to a clone, and what each part of
  a run is worth.
- `animate`: `esarm animate`, `esarm convert` and `esarm export`: a recording becomes a face, motion
  another format; a run, what others need.
- `bench`: `esarm bench`: measurements of speed, and beside other people's work.
- `corpus`: `esarm corpus` and `esarm capture`: open and audit a corpus; curves from video.
- `experiments`: `esarm improve --from` and `esarm compare`: swap reward or algorithm on one clone.
- `figures`: `esarm figure5`: what methods make of one sentence, side by side.
- `installation`: `esarm doctor`, `esarm assets`, and the deprecated `esarm rewards`.
- `options`: options that several commands share, and how figures are printed and kept.
- `pipeline`: `esarm run` and its stages.
- `plugins`: `esarm plugins`: rewards, algorithms, corpus layouts, exporters and metrics, as
  installed.
- `reward`: `esarm reward-report` and `esarm overoptimise`: what a reward knows, and where it
  misleads.
- `tables`: `esarm table1` and `esarm score`: methods by corpora, and other systems beside them.
- `tuning`: `esarm tune`: a sweep over settings of a stage.
"""

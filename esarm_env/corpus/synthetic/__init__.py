"""Synthetic corpus without a download: speech by espeak-ng, faces by an articulatory rule model.

- `corpus`: `open_synthetic` and the parallel generator; `worker`: the process that makes a shard.
- `design`: speakers x sentences x emotions and their splits; `sentences`: the text.
- `espeak`: text-to-speech with phoneme times; `phones`: phone classes by frame, once more.
- `speakers`: voice and style of each speaker.
- `motion`: the rule model: `mouth` (visemes), `upper_face` (emotion, blinks, gaze), `curves`.
- `rules`: its tables of numbers.
"""

from esarm_env.corpus.synthetic.corpus import SyntheticCorpus, open_synthetic
from esarm_env.corpus.synthetic.design import SyntheticDesign, synthetic_design

__all__ = ["SyntheticCorpus", "SyntheticDesign", "open_synthetic", "synthetic_design"]

"""A corpus that needs no download: speech by espeak-ng, faces by an articulatory rule model."""

from esarm_env.corpus.synthetic.corpus import SyntheticCorpus, open_synthetic
from esarm_env.corpus.synthetic.design import SyntheticDesign, synthetic_design

__all__ = ["SyntheticCorpus", "SyntheticDesign", "open_synthetic", "synthetic_design"]

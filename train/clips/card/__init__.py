"""Quality card of a clip: what an animation does at the sounds that matter, on one page.

- `figures`: everything that is measured of a clip, and what was left out.
- `maker`: what the cards of a run share: judge, learned score, ranges of its recordings.
- `charts`: curves over the waveform, as SVG.
- `page`: the page, one file that loads nothing.
"""

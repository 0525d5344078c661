"""Judging on the page: what is made to be judged, who judges, and what came of it.

Which pairs are asked and how answers are kept is in `reward.judging`; this is what a page adds.

- `asked`: what is to be judged, as the page asks for it and the folder keeps it.
- `making`: the thread that makes animations while the first are judged.
- `scores`: what the run's reward model says of the pool, and pairs that it is in doubt about.
- `study`: a study of one folder: its raters at work, their pairs, and how far answers agree.
- `simulated`: a rater without eyes who answers through the page's addresses, for rehearsals.
"""

"""Learning from voices without recorded motion: `esarm improve --speech FOLDER`.

- `settings`: how a policy learns.
- `folder`: the speech, read from sound files of any layout.
- `data`: what is learnt from and what is measured, and the task that they make.
- `recorded`: motion beside it, to measure with.
- `closure`: lips that shut at the p, b and m that are heard.
- `rewards`: the weighted sum of terms that need no recorded motion.
- `training`: reinforcement learning on speech beside cloning of the run's recordings.
- `measures`: figures of held-out voices and of the run's own recordings.
- `comparison`: before and after, with intervals.
- `stage`: all of it in order, resumable, into `RUN/speech/NAME`.
"""

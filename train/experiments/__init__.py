"""Experiments: another reward, algorithm or setting of `improve` on the clone of a finished run.

- `comparison`: means and paired differences of a run's policies, its experiments and other files.
- `folders`: folder of an experiment, its settings and what it shares with the run.
- `measuring`: true errors, learned score and climbed reward of policies on the test utterances.
- `page`: what `esarm compare` prints and writes.
- `policy_files`: a policy file of any origin, checked against a run.
- `sources`: tables that a comparison reads.
"""

"""`esarm bench agents`: tokens per second and memory of our trainers, beside other people's.

- `benchmark`: `esarm bench agents`: tokens per second of roll-out and update, and memory, in one
  run.
- `cases`: cases of `esarm bench agents`: backends, sizes, and why one is left out.
- `ours`: our backend of `esarm bench agents`: cached roll-outs, updates on whole sequences.
- `problem`: task of `esarm bench agents`: noise for audio, episodes of one length, a cheap score.
- `profile`: profile of our roll-out by Python function (`esarm bench agents --profile`).
- `rivals`: other backends of `esarm bench agents`: stock PPO, RecurrentPPO, GPT-2's `generate`.
- `table`: tables of `esarm bench agents`, with our reference figures.
- `worker`: worker process of `esarm bench agents`, one case each.
"""

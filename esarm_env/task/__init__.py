"""The task behind an environment: corpus, audio features, motion tokenizer and head.

- `animation_task`: `AnimationTask`: data and decoder of the problem, independent of any agent,
  queried by index.
- `conditions`: condition vector of a policy: one-hot emotion, intensity and speaker.
- `emotion_choice`: emotion by choice: one by name, a blend, or what the voice tells.
- `emotion_curve`: emotion curve: shares of emotions over time, linear between the rows of a small
  table.
- `episode_metrics`: metrics of finished episodes: what stands in the last `info` beside the
  scores, by name.
- `extended`: a task with a recording's pieces behind its utterances, so that rewards can score
  its animations.
- `judges`: judges of generated motion (emotion, intensity), trained on recordings, plain and
  tokenized.
- `opening`: opening of tasks: from a run folder, a corpus, or the files that ship with the
  package.
- `recording`: speech of any length as a task of short pieces, which a policy animates and `join`
  puts together.
- `run_corpus`: the corpus that a run was trained on: what the run notes of it, and where it is
  now.
- `sample_distances`: distances between animations of one utterance, by chunk and stream: how far
  samples spread.
- `streaming`: speech that is still being spoken, as a task of short pieces.
"""

"""Seeds of training: the same pipeline several times, and one report over all of them.

- `folders`: run folders of further seeds below the run, `RUN/seeds/SEED/`.
- `figures`: figures per seed and utterance, and what they tell together.
- `report`: `seeds.md` and `seeds.json`.
- `training`: one after the other in this process, or several at a time on Ray.
"""

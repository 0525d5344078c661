"""Labelled pairs of animations from automatic ranks, scores and human preferences.

- `from_preferences`: labelled pairs from human preferences; rows that cannot be used are listed.
- `from_ranks`: labelled pairs from ranked demonstrations, both animations cropped alike.
- `labelled`: labelled pairs of animations: the probability that the first is better, from any
  source.
- `preference_file`: preference file `preferences.jsonl`: one human judgement a line.
"""

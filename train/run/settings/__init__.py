"""Parts of a run's configuration.

- `plain_yaml`: YAML of settings: plain values by text keys, bounded, nothing taken for another.
- `reward_setting`: the setting `improve.reward`: a name, or names with weights.
- `sections`: settings of the corpus and of stages whose settings have no other place.
"""

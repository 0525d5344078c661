"""The Markov decision process `ESARM-v0`, as a scalar and as a native vector environment.

- `scalar`: `SpeechAnimationEnv`, one episode at a time; its docstring defines spaces and reward.
- `vector`: `SpeechAnimationVectorEnv`, many episodes at once, equal to the scalar one.
- `episode_rules`: what both share: spaces, eligible utterances, conditions, scoring, action masks.
- `episode_scores`: their reward, and whole sequences scored by it.
- `chunk_payments`: what chunks have earned, for `reward_timing="chunk"`.
- `episode_slots`: the running episodes of the vector environment as arrays.
- `environment_access`: attributes and methods of single environments of the vector environment.
- `sampling`: distribution over utterances, and random generators per environment.
- `options_and_infos`: `reset` options and `infos` of a vector environment, batched.
- `registration`: the entry points that `gymnasium.make` and `make_vec` call.
- `short`: those of `ESARM-Short-v0`, the first second of each sentence.
"""

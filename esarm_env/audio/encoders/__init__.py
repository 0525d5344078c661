"""Audio encoders by pretrained networks, one that streams, and what all encoders share.

- `frames`: the interface of an encoder, 30 fps resampling, and checks of what it gives.
- `running`: log-mel features whose normalisation is running, so that they stream.
- `spectra`: mel spectra and pitch, librosa's numbers without its import.
- `wavlm`: hidden states of WavLM, one layer or a mixture.
- `tuned_wavlm`: the same network while its top layers learn, and after.
- `phone_network`: frame posteriors of the phone recogniser in the package `hama`.
- `phone_classes`: IPA symbols grouped by what lips, jaw and tongue do for them.
- `phones`: posteriors of phone classes as features, alone or beside others.
- `voice_bar`: log-mel features without the voice bar, which recorded voices alone have.
- `phone_spans`: when which phone is spoken, and when lips must shut, in any recording.

`esarm_env.audio.features` makes an encoder from its name.
"""

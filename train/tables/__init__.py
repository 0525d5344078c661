"""Tables of results, one command each, and the predictions of other systems.

- `predictions`: motion of any system by utterance, written and read.
- `gltf_curves`: motion in `.glb` and `.gltf` files.
- `table1`: the paper's Table I, methods by corpora (a package).
- `table2`: the paper's Table II, noise and damage (a package).
- `ablation`: what each part of ours is worth (a package).
"""

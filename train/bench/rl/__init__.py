"""`esarm bench rl`: every algorithm that runs on an environment, from nothing and from the clone.

- `benchmark`: the command: cells one by one, kept and resumed; tables, plot, figures.
- `trainers`: the algorithms, their settings, and how each is made.
- `single_file`: PPO in one file, for those who want no library.
- `climb`: one training, measured along the way; its CSV file.
- `scale`: random tokens get 0, recordings through the tokenizer 1.
- `figures`: interquartile means over seeds with intervals; the table `rl.md`.
- `pictures`: the plot `rl.png`.
"""

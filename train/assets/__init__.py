"""Make what ships with the package: a small corpus, and the weights of a finished run."""

"""A run: its configuration, its folder, and the loop that drives its trainers."""

"""Labelled pairs of animations from automatic ranks, scores and human preferences."""

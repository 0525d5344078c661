"""Stages, command line, configuration, evaluation and reports."""

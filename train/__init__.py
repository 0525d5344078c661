"""The stages, the pipeline, the command line, configurations, evaluation."""

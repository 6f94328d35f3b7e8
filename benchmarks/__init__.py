"""Measurements of the project itself, each by one command: ``python -m benchmarks.<name>``."""

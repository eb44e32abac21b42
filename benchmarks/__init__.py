"""Measurements of openmic on real speech; ``metrics/display.py`` defines them, docs/benchmarks.md has the results."""

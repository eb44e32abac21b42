"""Measurements of openmic on real speech; the definitions are in ``measures.py``, the results in docs/benchmarks.md."""

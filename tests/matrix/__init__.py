"""Runs the core of the suite on each Python here, with the newest packages, the lowest ones, and Colab's.

``python -m tests.matrix`` makes an environment for each pair of Python and set of packages, keeps it in the cache
folder, and writes what passed with which versions. docs/compatibility.md is what it wrote last.
"""

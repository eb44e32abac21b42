"""Makes a runtime ready for openmic; standard library only, for `colab_bootstrap.py` runs before all else is there."""

# `just` lists what a contributor runs; each line below also works without it, in the environment of CONTRIBUTING.md.

[private]
default:
    @just --list --unsorted

# Lint, format and types, as .ci/run checks them.
check:
    .ci/run --only lint

# The tests that need no weights, no browser and no waiting; options go on to pytest.
test *options:
    python colab_bootstrap.py test --quick {{ options }}

# All tests; options go on to pytest.
test-all *options:
    python colab_bootstrap.py test {{ options }}

# The tests with Ray, in an environment of their own, and no others; options go on to pytest.
test-cluster *options:
    python colab_bootstrap.py test --cluster {{ options }}

# Measure live text on this machine: latency, flicker, word errors and cost.
bench *options:
    python -m benchmarks.live {{ options }}

# Write what programs write: pages, the wire's schema, requirements files.
docs:
    python -m openmic.settings > docs/settings.md
    python docs/make_troubleshooting.py > docs/troubleshooting.md
    python -m openmic.server.dialects.native.messages > docs/protocol.schema.json
    python -m openmic_setup.requirements_files

"""Other people's SDKs and frameworks as they are, each run by a script of its own (``benchmarks.clients``)."""

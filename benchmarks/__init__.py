"""Cornu timed beside Keras, beside hand-written code, and beside the arithmetic limit.

`python -m benchmarks --help` says how. A subject (`cornu`, `base`, `keras`, `hand`, `limit`) runs a workload in
a process of its own; the processes take turns, so that all of them see the same noise, and what counts
is the ratio of their times.
"""

"""Benchmarks of a step: contenders, and the table that `python -m nst bench` prints."""

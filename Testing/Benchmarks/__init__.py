"""Benchmarks: accuracy, speed and memory against goals and peers, one line of JSON each (see run.py)."""

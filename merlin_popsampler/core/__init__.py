"""Provides the mathematics that all frameworks share: distributions, draw plans, expected counts.

The code is NumPy in float64. It reads no schema, no file and no tensor. It may import NumPy, the
standard library and `errors`.
"""

"""Implements the reports of `python -m merlin_popsampler`: one module for each command.

It may import `errors`, `core`, `contract` and `store`; only the package's `__main__` imports it.
"""

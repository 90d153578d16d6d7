"""Reads and writes the popularity contract of an id column in a Merlin schema.

Operators produce the contract, and samplers consume it. This folder defines its fields, and finds,
checks, writes and converts them to arguments. It may import `errors`, `core`, and `merlin.schema`
if a schema is at hand. It never imports NVTabular or a deep-learning framework.
"""

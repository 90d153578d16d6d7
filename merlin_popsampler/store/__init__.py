"""Reads and writes the files of fits, and the files of stock Categorify.

It may import `errors`, `core`, `contract`, fsspec and, on first use, pandas and pyarrow. It never
imports NVTabular or dask, so that reports read fits without them.
"""

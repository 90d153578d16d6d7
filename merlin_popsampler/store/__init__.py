"""Files on disk: what a fit writes, where it lies, and the files of stock Categorify.

It may import `errors`, `core`, `contract`, fsspec and, on first use, pandas and pyarrow. It knows
neither NVTabular nor dask, so that reports read fits without them.
"""

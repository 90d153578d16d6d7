"""Reports from the command line: one module a command, their output, and their pictures.

It may import `errors`, `core`, `contract` and `store`; only the package's `__main__` imports it.
"""

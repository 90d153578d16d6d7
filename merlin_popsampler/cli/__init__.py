"""Reports from the command line: one module a command, their output, and their pictures.

It may import `errors`, `core`, `contract` and, of `ops`, what reads a fit back (`fitted_column`,
`fit_folder`) and what writes files (`storage`); only the package's `__main__` imports it.
"""

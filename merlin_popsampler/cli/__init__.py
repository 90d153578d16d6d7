"""Reports from the command line: one module a command, their output, and their pictures.

It may import `errors`, `core`, `contract` and, of `ops`, what reads a fit back (`fitted_column`,
`fit_folder`); nothing imports it but the package's `__main__`.
"""

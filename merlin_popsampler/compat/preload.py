"""Enables the adaptations in a worker: `dask worker --preload merlin_popsampler.compat.preload`."""

from merlin_popsampler.compat import enable

enable()

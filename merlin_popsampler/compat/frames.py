"""Adapts NVTabular 23.8 and Merlin Core 23.8 to later versions of dask and pandas.

`expressions` has what dask 2025 needs in addition.
"""

import os
import sys
from typing import Any, List

from merlin_popsampler.errors import PopSamplerError

from .adaptation import Adaptation, adapts
from .importing import after_import, replace_source

ADAPTATIONS: List[Adaptation] = []
PRELOAD = "merlin_popsampler.compat.preload"


@adapts("merlin-core", "dask", (2024, 3), (2025,), to=ADAPTATIONS)
def plan_no_queries() -> None:
    """Turns query planning off, by which dask 2024 replaces the data frames that Merlin needs."""
    frames = sys.modules.get("dask.dataframe")
    if frames is not None and frames.DataFrame.__module__.startswith("dask_expr"):
        raise PopSamplerError(
            "Expected compat.enable() before the first import of dask.dataframe. Received: a "
            "process that has imported it with query planning, which Merlin cannot use. Call "
            "enable() first, or set DASK_DATAFRAME__QUERY_PLANNING=False in the environment."
        )
    _set("query-planning", False)


@adapts("merlin-core", "dask", (2023, 7, 1), to=ADAPTATIONS)
def keep_objects() -> None:
    """Keeps Python objects, which dask converts to strings from 2023.7.1 on.

    Such objects are lists, decimals, dates and bytes.
    """
    _set("convert-string", False)


@adapts("merlin-core", "dask", (2023, 7, 1), to=ADAPTATIONS)
def enable_in_workers() -> None:
    """Preloads the adaptations in the workers of a cluster, which import Merlin on first use."""
    import dask

    preloads = dask.config.get("distributed.worker.preload", default=[])
    if PRELOAD not in preloads:
        dask.config.set({"distributed.worker.preload": [*preloads, PRELOAD]})


@adapts("nvtabular", "pandas", (3,), to=ADAPTATIONS)
def write_to_copies() -> None:
    """Makes Categorify write the id of null into a copy, since pandas 3 has read-only arrays.

    One expression of a long function changes, so the function is compiled from changed source.
    """

    def change(categorify: Any) -> None:
        old = "labels = labels.values\n"
        replace_source(categorify, "_encode", old, "labels = labels.to_numpy(copy=True)\n")

    after_import("nvtabular.ops.categorify", change)


def _set(option: str, value: bool) -> None:
    """Sets an option of dask's data frames, in this process and in its child processes."""
    import dask

    dask.config.set({f"dataframe.{option}": value})
    os.environ[f"DASK_DATAFRAME__{option.upper().replace('-', '_')}"] = str(value)

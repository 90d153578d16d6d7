"""Adaptations of NVTabular 23.8 and Merlin Core 23.8 to later versions of dask."""

import inspect
import os
import sys
from typing import Any, List

from merlin_popsampler.errors import PopSamplerError

from .adaptation import Adaptation, adapts
from .importing import after_import

ADAPTATIONS: List[Adaptation] = []
PRELOAD = "merlin_popsampler.compat.preload"


@adapts("merlin-core", "dask", (2025,), to=ADAPTATIONS)
def refuse_dask_without_legacy_frames() -> None:
    """Dask 2025 removed the data frames that Merlin Core subclasses and builds graphs for."""
    raise PopSamplerError(
        "Expected dask 2024.12 or earlier beside merlin-core. Received: dask 2025 or later, which "
        "has no data frames that Merlin can use. Install dask==2024.12.1 and "
        "distributed==2024.12.1."
    )


@adapts("merlin-core", "dask-expr", (0,), to=ADAPTATIONS)
def plan_no_queries() -> None:
    """Dask 2024 replaces its data frames where dask-expr is installed, and Merlin needs them."""
    frames = sys.modules.get("dask.dataframe")
    if frames is not None and frames.DataFrame.__module__.startswith("dask_expr"):
        raise PopSamplerError(
            "Expected compat.enable() before the first import of dask.dataframe. Received: a "
            "process that has imported it with query planning, which Merlin cannot use. Call "
            "enable() first, or set DASK_DATAFRAME__QUERY_PLANNING=False in the environment."
        )
    _set("query-planning", False)


@adapts("merlin-core", "dask", (2023, 7, 1), (2025,), to=ADAPTATIONS)
def keep_objects() -> None:
    """From 2023.7.1 on, dask makes strings of every object: lists, decimals, dates and bytes."""
    _set("convert-string", False)


@adapts("merlin-core", "dask", (2023, 7, 1), (2025,), to=ADAPTATIONS)
def enable_in_workers() -> None:
    """The workers of a cluster are processes of their own, and import Merlin on first use."""
    import dask

    preloads = dask.config.get("distributed.worker.preload", default=[])
    if PRELOAD not in preloads:
        dask.config.set({"distributed.worker.preload": [*preloads, PRELOAD]})


@adapts("nvtabular", "pandas", (3,), to=ADAPTATIONS)
def write_to_copies() -> None:
    """Categorify writes the id of null into the array of a series, which pandas 3 forbids.

    One expression of a long function changes, so the function is compiled anew from its source.
    """

    def change(categorify: Any) -> None:
        given = inspect.getsource(categorify._encode)  # noqa: SLF001 - it has no public name
        changed = given.replace("labels = labels.values\n", "labels = labels.to_numpy(copy=True)\n")
        if changed != given:
            exec(changed, categorify.__dict__)  # noqa: S102 - NVTabular's own source

    after_import("nvtabular.ops.categorify", change)


def _set(option: str, value: bool) -> None:
    """Sets an option of dask's data frames, in this process and in those that it starts."""
    import dask

    dask.config.set({f"dataframe.{option}": value})
    os.environ[f"DASK_DATAFRAME__{option.upper().replace('-', '_')}"] = str(value)

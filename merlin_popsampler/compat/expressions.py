"""Adapts Merlin Core 23.8 and NVTabular 23.8 to dask 2025 and later.

In these versions, data frames are expressions, which dask rewrites before it computes them. Merlin
treats them as task graphs: it assumes that the task of partition `i` is called `(ddf._name, i)`,
and adds its own tasks to the graph.
"""

from importlib import import_module
from typing import Any, Dict, List

from .adaptation import Adaptation, adapts
from .importing import after_import, alias, replace_source

ADAPTATIONS: List[Adaptation] = []
SINCE = (2025,)


class _Layer(Dict[Any, Any]):
    """Represents a task graph by a unique name, so that dask need not hash its tasks."""

    def __init__(self, graph: Any, name: str) -> None:
        super().__init__(graph)
        self.name = name

    def __dask_tokenize__(self) -> str:
        return self.name


def frame_of_graph(graph: Any, name: str, meta: Any, divisions: Any) -> Any:
    """Builds a data frame from a task graph, whose partitions are the tasks `(name, i)`.

    Args:
      graph: tasks by key.
      name: first part of the keys of the partitions.
      meta: an empty frame with the columns and dtypes.
      divisions: limits of the index of the partitions, one more than there are partitions.
    """
    from dask.dataframe import from_graph

    keys = [(name, index) for index in range(len(divisions) - 1)]
    return from_graph(_Layer(graph, name), meta, tuple(divisions), keys, name.rsplit("-", 1)[0])


def freeze(ddf: Any) -> Any:
    """Builds a data frame from the task graph of another one, so that dask cannot rewrite it.

    Otherwise dask would merge partitions of a file if only a few of its columns are read. They
    would exceed the size that the user asked for, and Merlin would look for partitions that it
    counted before.
    """
    return frame_of_graph(ddf.dask, ddf._name, ddf._meta, ddf.divisions)  # noqa: SLF001 - no other name


@adapts("merlin-core", "dask", SINCE, to=ADAPTATIONS)
def restore_names() -> None:
    """Restores names that Merlin imports and that dask moved or removed."""

    def change(frames: Any) -> None:
        core: Any = import_module("dask.dataframe.core")
        core.DataFrame, core.Series = frames.DataFrame, frames.Series
        core.hash_object_dispatch = frames.dispatch.hash_object_dispatch
        core.new_dd_object = frame_of_graph

    after_import("dask.dataframe", change)
    alias("dask.dataframe.optimize", "dask.base")  # has `optimize`, never called


@adapts("merlin-core", "dask", SINCE, to=ADAPTATIONS)
def show_graphs() -> None:
    """Gives data frames a graph of one layer that has the names of the data frame itself.

    The graph that dask computes may have different names, since it rewrites the expression first.
    """

    def change(collection: Any) -> None:
        from dask._task_spec import Alias
        from dask.highlevelgraph import HighLevelGraph

        def graph_of(self: Any) -> Dict[Any, Any]:
            expression = self.expr.lower_completely()
            graph = dict(expression.__dask_graph__())
            for index, key in enumerate(expression.__dask_keys__()):
                if (self._name, index) not in graph:
                    graph[self._name, index] = Alias((self._name, index), key)
            return graph

        def layers_of(self: Any) -> Any:
            return HighLevelGraph({self._name: graph_of(self)}, {self._name: set()})

        collection.FrameBase.__dask_graph__ = graph_of
        collection.FrameBase.dask = property(layers_of)

    after_import("dask.dataframe.dask_expr._collection", change)


@adapts("merlin-core", "dask", SINCE, to=ADAPTATIONS)
def leave_optimizing_to_dask() -> None:
    """Leaves data frames and graphs as they are, since dask optimizes both when it computes."""

    def change(utils: Any) -> None:
        utils.ensure_optimize_dataframe_graph = _unchanged

    after_import("merlin.core.utils", change)


def _unchanged(ddf: Any = None, dsk: Any = None, keys: Any = None) -> Any:  # noqa: ARG001
    """Has the arguments of Merlin's function, whose result is the first one given."""
    return dsk if ddf is None else ddf


@adapts("merlin-core", "dask", SINCE, to=ADAPTATIONS)
def keep_partitions() -> None:
    """Freezes the data frames that users pass to a `Dataset`; see `freeze`."""

    def change(module: Any) -> None:
        engine = module.DataFrameDatasetEngine
        begin = engine.__init__

        def __init__(self: Any, ddf: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - a method's
            begin(self, freeze(ddf), *args, **kwargs)

        engine.__init__ = __init__

    after_import("merlin.io.dataframe_engine", change)


@adapts("merlin-core", "dask", SINCE, to=ADAPTATIONS)
def plan_parquet() -> None:
    """Takes parts and row counts of Parquet files from dask's plan.

    Merlin overrides a method of dask's engine for them, which dask no longer calls. The arguments
    for dask are Merlin's, so partition sizes, filters and storage options are kept.
    """

    def change(module: Any) -> None:
        def to_ddf(self: Any, columns: Any = None, cpu: Any = None) -> Any:
            on_cpu = self.cpu if cpu is None else cpu
            only = self.paths[0] if len(self.paths) == 1 else None
            ddf = module.dd.read_parquet(
                only or self.paths,  # dask fails at a list of one folder with a `_metadata` file
                columns=columns,
                engine=module.CPUParquetEngine if on_cpu else module.GPUParquetEngine,
                index=False,
                aggregate_files=self.aggregate_files,
                filters=self.filters,
                split_row_groups=self.row_groups_per_part,
                storage_options=self.storage_options,
                dataset={**self.dataset_kwargs},
                **self.read_parquet_kwargs,
            )
            plan = ddf.expr._plan  # noqa: SLF001 - no other name
            self._pp_metadata = {"stats": plan["statistics"], "parts": plan["parts"]}
            return freeze(ddf)

        module.ParquetDatasetEngine.to_ddf = to_ddf

    after_import("merlin.io.parquet", change)


@adapts("nvtabular", "dask", (2024,), to=ADAPTATIONS)
def sort_without_divisions() -> None:
    """Lets dask find the divisions by which Categorify sorts a vocabulary of several files.

    NVTabular computes them by a private function that is gone, for the sake of cuDF.
    """

    def change(categorify: Any) -> None:
        replace_source(categorify, "_write_uniques", DIVISIONS, "")

    after_import("nvtabular.ops.categorify", change)


DIVISIONS = """\
                    divisions=dd.shuffle._calculate_divisions(
                        df, df[name_size], False, df.npartitions
                    )[0][::-1],
"""

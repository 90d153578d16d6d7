"""Finds files of interactions and items, and reads columns of each file by its own schema.

A path is a file, a folder of files of one format, or a URL of either that fsspec supports. Names of
folders such as `day=2024-05-01` give a column `day` (hive partitions). Values of CSV files and of
such names have no types. They are read as strings, unchanged.
"""

import io
import json
import os
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Union
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from arrow_types import Part
from pyarrow import csv, feather, ipc

from merlin_popsampler.errors import PopSamplerError

_ENDINGS = {
    "parquet": (".parquet", ".parq", ".pq"),
    "csv": (".csv", ".tsv"),
    "json": (".jsonl", ".ndjson", ".json"),
    "arrow": (".arrow", ".arrows", ".feather", ".ipc"),
}
_FORMAT_OF = {ending: name for name, endings in _ENDINGS.items() for ending in endings}
_MAGIC = {b"PAR1": "parquet", b"ARRO": "arrow", b"FEA1": "arrow"}
_CODEC_OF = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
_TABLES_OF_VERSIONS = ("_delta_log", ".hoodie")
"""Folders of versioned tables, whose files hold deleted and replaced rows as well."""
_LINES = 100_000
"""Number of JSON lines that become one block of a column."""
_CONSTANTS = {"NaN": None, "Infinity": float("inf"), "-Infinity": float("-inf")}
"""Constants that Python's tools write, although they are not JSON."""
_ONE_TYPE = ({str}, {bool}, {int, float}, {list}, {dict})
"""Sets of types of JSON values that may be in one column."""
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"

FORMATS = (
    "parquet (.parquet), csv (.csv; .tsv with tabs; else set --sep and --encoding), JSON lines "
    "(.jsonl, .ndjson, .json) or Arrow files (.arrow, .feather, .ipc), each "
    "also compressed (.gz, .bz2, .zst, .lz4)"
)
"""The supported formats, for messages."""

Source = Union[str, Path]


class CsvOptions(NamedTuple):
    """Holds the options of CSV files.

    Attributes:
      sep: the separator; None is a tab in `.tsv` files and a comma otherwise.
      encoding: name of the encoding.
    """

    sep: Optional[str] = None
    encoding: str = "utf-8"


COMMAS = CsvOptions()


class DataFile(NamedTuple):
    """Describes one file: file system, path, format, compression, and hive partitions."""

    fs: Any
    path: str
    form: str
    codec: Optional[str]
    partitions: Dict[str, Optional[str]]


class Columns(NamedTuple):
    """Holds columns of all files.

    Attributes:
      parts: for each column, its parts by file (or block of lines), in the order of the files.
      written: names of the columns whose values are strings because the files have no types.
    """

    parts: Dict[str, List[Part]]
    written: List[str]


def read_columns(
    source: Source, columns: Sequence[str], inferred: Sequence[str], options: CsvOptions, flags: str
) -> Columns:
    """Reads columns of a file, or of all files of a folder, each by its own schema.

    Args:
      source: path or URL.
      columns: names of the columns.
      inferred: names of the columns whose types are inferred in CSV files; the rest is strings.
      options: options of CSV files.
      flags: the flags that name the columns, for messages.

    Raises:
      PopSamplerError: there is no file, a format is not supported, a folder has several formats, or
        a file lacks a column. A column may be missing in some files of JSON lines, but not in all.
    """
    names = list(dict.fromkeys(columns))
    parts: Dict[str, List[Part]] = {name: [] for name in names}
    typed = set()
    fields: Dict[str, None] = {}
    files = _files(source)
    for file in files:
        for label, table in _tables(file, names, inferred, options, flags, fields):
            for name in names:
                if name in table.column_names:
                    column = table[name]
                    typed.update([name] if file.form != "csv" or name in inferred else [])
                else:
                    text = pa.scalar(file.partitions[name], pa.string())
                    column = pa.chunked_array([pa.repeat(text, len(table))])
                parts[name].append(Part(label, column))
    if files[0].form == "json":
        _check_columns(names, list(fields), source, flags)
    return Columns(parts, [name for name in names if name not in typed])


@contextmanager
def readable(source: Source) -> Iterator[None]:
    """Converts the errors of readers to `PopSamplerError`."""
    try:
        yield
    except PopSamplerError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        raise PopSamplerError(
            f"Expected a readable file in {source}: {FORMATS}. Received: {error} "
            f"(pyarrow {pa.__version__}). Check the file, its ending, --sep and --encoding; what "
            "this version of pyarrow cannot read, write again as parquet."
        ) from error


def _files(source: Source) -> List[DataFile]:
    """Lists the files that hold data, sorted by name."""
    fs, root = _located(source)
    with readable(source):
        sizes = {root: fs.size(root)} if fs.isfile(root) else _sizes_below(fs, root, source)
    # Spark writes an empty csv file for a partition without rows.
    paths = sorted(path for path, size in sizes.items() if size != 0) or sorted(sizes)
    if not paths:
        raise PopSamplerError(f"Expected {FORMATS}. Received: {source}, a folder without any.")
    files = [_data_file(fs, path, root) for path in paths]
    first = files[0]
    other = next((file for file in files if file.form != first.form), None)
    if other:
        raise PopSamplerError(
            f"Expected files of one format in {source}. Received: {first.form} ({first.path}) and "
            f"{other.form} ({other.path}). Name one of them, or move them to folders of their own."
        )
    return files


def _located(source: Source) -> Any:
    """Returns the file system of a path or URL, and the path there."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    text = str(source)
    missing = PopSamplerError(
        f"Expected {FORMATS}. Received: {text}, not found. Check --data and --items."
    )
    if os.path.exists(text):
        return LocalFileSystem(), LocalFileSystem._strip_protocol(os.path.abspath(text))
    if "://" not in text:
        raise missing
    try:
        fs, path = url_to_fs(text)
        found = fs.exists(path)
    except Exception as error:  # each file system has errors of its own
        raise PopSamplerError(
            f"Expected a path or URL that can be read. Received: {text} ({error}). Install what "
            "fsspec needs for this kind of URL, or copy the files here and name their folder."
        ) from error
    if not found:
        raise missing
    return fs, path


def _sizes_below(fs: Any, root: str, source: Source) -> Dict[str, int]:
    """Returns sizes of the files of a folder, except hidden ones (`_SUCCESS`, `.part.crc`)."""
    found = fs.find(root, detail=True)
    sizes = {}
    for path, info in found.items():
        inside = path[len(root) :].strip("/").split("/")
        table = next((name for name in inside if name in _TABLES_OF_VERSIONS), None)
        if table:
            raise PopSamplerError(
                f"Expected {FORMATS}. Received: {source}, a table with a log of its versions "
                f"({table}), whose files hold deleted rows, too. Write its rows as parquet first."
            )
        if not any(name.startswith((".", "_")) and "=" not in name for name in inside):
            sizes[path] = info["size"]
    return sizes


def _data_file(fs: Any, path: str, root: str) -> DataFile:
    folders = path[len(root) :].strip("/").split("/")[:-1]
    pairs = [folder.split("=", 1) for folder in folders if "=" in folder]
    partitions = {name: None if said == _NO_PARTITION else unquote(said) for name, said in pairs}
    name = os.path.basename(urlsplit(path).path if "://" in path else path).lower()
    stem, ending = os.path.splitext(name)
    codec = _CODEC_OF.get(ending)
    form = _FORMAT_OF.get(os.path.splitext(stem)[1] if codec else ending)
    if form is None and codec is None:
        with fs.open(path, "rb") as file:
            form = _MAGIC.get(file.read(4))
    if form is None:
        raise PopSamplerError(
            f"Expected {FORMATS}. Received: {path}, which has none of these endings. Rename it, or "
            "write it in one of these formats."
        )
    return DataFile(fs, path, form, codec, partitions)


@contextmanager
def _opened(file: DataFile, seekable: bool) -> Iterator[Any]:
    """Opens an Arrow stream of the decompressed bytes of a file."""
    local = type(file.fs).__name__ == "LocalFileSystem"
    raw = pa.OSFile(file.path) if local else pa.PythonFile(file.fs.open(file.path, "rb"), mode="r")
    with raw:
        stream = pa.CompressedInputStream(raw, file.codec) if file.codec else raw
        yield pa.BufferReader(stream.read()) if file.codec and seekable else stream


def _check_columns(
    columns: List[str], names: List[str], source: Source, flags: str, hint: str = ""
) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise PopSamplerError(
            f"Expected columns {columns} in {source}. Received: no {missing} among "
            f"{names}. Name yours with {flags}.{hint}"
        )


def _tables(
    file: DataFile,
    columns: List[str],
    inferred: Sequence[str],
    options: CsvOptions,
    flags: str,
    fields: Dict[str, None],
) -> Iterator[Any]:
    """Yields tables of a file's columns, each with a name for messages.

    Adds the names of fields of JSON lines to `fields`, and of the folders that give columns.
    """

    def present(names: Sequence[str]) -> List[str]:
        """Returns the columns of the file itself; partitions must provide the rest."""
        hint = " Say how the columns are separated with --sep." if _one(names) else ""
        _check_columns(columns, [*names, *file.partitions], file.path, flags, hint)
        several = [n for n in columns if list(names).count(n) > 1]
        if several:
            raise PopSamplerError(
                f"Expected each column once in {file.path}. Received: several called {several} "
                f"among {list(names)}. Rename them, or name other columns with {flags}."
            )
        return [name for name in columns if name in names]

    if file.form == "csv":
        with readable(file.path):
            yield file.path, _csv_table(file, present, inferred, options)
        return
    with readable(file.path), _opened(file, seekable=file.form != "json") as stream:
        if file.form == "json":
            yield from _json_tables(stream, file, columns, fields)
        elif file.form == "parquet":
            parquet = pq.ParquetFile(stream)
            kept = present(parquet.schema_arrow.names)
            yield file.path, parquet.read(columns=kept).select(kept)
        else:
            yield file.path, _arrow_table(stream, present)


def _one(names: Sequence[str]) -> bool:
    """Tests whether the name of the only column looks like several columns."""
    return len(names) == 1 and any(sep in names[0] for sep in ";\t|,")


def _csv_table(file: DataFile, present: Any, inferred: Sequence[str], options: CsvOptions) -> Any:
    tabs = ".tsv" in os.path.basename(file.path).lower()
    reading = {
        "read_options": csv.ReadOptions(encoding=options.encoding),
        "parse_options": csv.ParseOptions(
            delimiter=options.sep or ("\t" if tabs else ","), newlines_in_values=True
        ),
    }
    with _opened(file, seekable=False) as stream:
        kept = present(csv.open_csv(stream, **reading).schema.names)
    text = {name: pa.string() for name in kept if name not in inferred}
    converting = csv.ConvertOptions(column_types=text, include_columns=kept)
    with _opened(file, seekable=False) as stream:
        return csv.read_csv(stream, **reading, convert_options=converting)


def _arrow_table(stream: Any, present: Any) -> Any:
    """Reads columns of a file in one of Arrow's formats, or in the first version of feather."""
    magic = stream.read(6)
    stream.seek(0)
    if magic[:4] == b"FEA1":
        table = feather.read_table(stream)
        return table.select(present(table.column_names))
    reader = (ipc.open_file if magic == b"ARROW1" else ipc.open_stream)(stream)
    kept = present(reader.schema.names)
    if isinstance(reader, ipc.RecordBatchFileReader):
        batches: Any = (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        batches = reader
    chosen = [batch.select(kept) for batch in batches]
    return pa.Table.from_batches(chosen) if chosen else reader.schema.empty_table().select(kept)


def _json_tables(
    stream: Any, file: DataFile, columns: List[str], fields: Dict[str, None]
) -> Iterator[Any]:
    """Yields blocks of a file of JSON lines; fields that neither lines nor folders give are null.

    Many tools write no nulls, so a whole file may lack a field.
    """
    lines = enumerate(io.TextIOWrapper(stream, "utf-8-sig", newline="\n"), 1)
    rows = (_json_row(number, line) for number, line in lines if line.strip())
    seen: Dict[str, None] = {}
    tables = []
    for first in count(1, _LINES):
        block = list(islice(rows, _LINES))
        if not block:
            break
        label = f"{file.path}, rows {first:,} to {first + len(block) - 1:,}"
        seen.update(dict.fromkeys(name for row in block for name in row))
        arrays = [_json_column([row.get(name) for row in block], name, label) for name in columns]
        tables.append((label, pa.table(arrays, columns)))
    kept = [name for name in columns if name in seen or name not in file.partitions]
    fields.update(dict.fromkeys([*seen, *file.partitions]))
    for label, table in tables:
        yield label, table.select(kept)


def _json_row(number: int, line: str) -> Dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_CONSTANTS.get)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}, which is not one JSON object ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number}, which is JSON but not an object: {line[:40]!r}")
    return row


def _json_column(values: List[Any], name: str, label: str) -> Any:
    types = set(map(type, values)) - {type(None)}
    error: Any = "values of different types cannot be compared"
    if any(types <= allowed for allowed in _ONE_TYPE):
        try:
            large = types == {int} and max(filter(None, values), default=0) >= 2**63
            return pa.array(values, pa.uint64() if large else None)
        except (pa.ArrowException, OverflowError, UnicodeError) as found:
            error = found
    raise PopSamplerError(
        f"Column {name!r}: expected values of one type, integers within 64 bits. Received: "
        f"{' and '.join(sorted(kind.__name__ for kind in types))} in {label} ({error}). Convert "
        "all of them to one, such as strings."
    )

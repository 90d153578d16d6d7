"""Names inside a fit's folder: written out here, since users and Categorify rely on them."""

import pytest

from merlin_popsampler.ops import fit_folder


@pytest.mark.parametrize(
    ("out_path", "expected"),
    [
        ("./", "./categories"),
        ("/a/b", "/a/b/categories"),
        ("/a/b//", "/a/b/categories"),
        ("/", "//categories"),
        ("memory://fit", "memory://fit/categories"),
    ],
)
def test_folders_of_an_operator(out_path, expected):
    assert fit_folder.folder_of(out_path, fit_folder.CATEGORIES) == expected
    assert fit_folder.FREQUENCY_ORDER == "frequency_order"


def test_staging_folders_are_hidden_and_never_the_same():
    names = {fit_folder.new_staging("/a/categories") for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("/a/categories/.staging-") for name in names)


def test_names_of_the_files():
    assert fit_folder.file_of("/f", fit_folder.UNIQUE, "item") == "/f/unique.item.parquet"
    assert fit_folder.file_names(["a", "b"], fit_folder.VOCABULARY_KINDS) == [
        f"{kind}.{name}.parquet" for name in "ab" for kind in ("unique", "meta", "popularity")
    ]
    assert fit_folder.file_names(["a"], fit_folder.ORDER_KINDS) == [
        "popularity.a.parquet",
        "map.a.parquet",
    ]
    assert fit_folder.size_column("item") == "item_size"


NAMES = ["item", "item.id", "unique", "unique.item", "a_b", "a.parquet"]


@pytest.mark.parametrize("name", NAMES)
def test_other_kinds_of_one_vocabulary(name):
    """A column's name may hold dots, or a kind."""
    path = fit_folder.file_of("/x.y/f", fit_folder.POPULARITY, name)
    assert fit_folder.beside(path, fit_folder.META) == f"/x.y/f/meta.{name}.parquet"
    assert fit_folder.moved(path, "memory://g") == f"memory://g/popularity.{name}.parquet"


def test_names_are_found_again():
    files = fit_folder.file_names(NAMES, fit_folder.VOCABULARY_KINDS)
    files += ["popularity.csv", "popularity.x.parquet.tmp", ".staging-1", "unpopularity.y.parquet"]
    for kind in fit_folder.VOCABULARY_KINDS:
        assert fit_folder.names_in(files, kind) == sorted(NAMES)
    assert fit_folder.names_in(files, fit_folder.MAP) == []


@pytest.mark.parametrize("pattern", ["part.{}.parquet", "part_{}.parquet", "4f-part-{:05}.parquet"])
def test_parts_come_in_the_order_of_their_numbers(pattern):
    """Ours and those of other writers; what is no part is left out."""
    names = [pattern.format(number) for number in (0, 1, 2, 9, 10, 11, 100)]
    assert fit_folder.parts_in([*names[::-1], "_metadata", "part.3.crc"]) == names
    assert fit_folder.part_of("/f/unique.a.parquet", 10) == "/f/unique.a.parquet/part.10.parquet"

"""Tests benchmarks/crossover.py, which measures from which catalog size sampling is faster."""

import json

import pytest
import torch

from benchmarks import crossover


@pytest.fixture(autouse=True)
def threads():
    yield
    torch.set_num_threads(1)


def test_a_small_run_writes_its_table(tmp_path, capsys):
    flags = "--sizes 20 40 --samples 5 30 --rows 8 --dim 4 --steps 4 --threads 1"
    crossover.main([*flags.split(), "--output", str(tmp_path)])
    rows = json.loads((tmp_path / "crossover.json").read_text())
    assert [row["size"] for row in rows] == [20, 40]
    assert [[name for name in row if name.startswith("K")] for row in rows] == [
        ["K = 5"],
        ["K = 5", "K = 30"],
    ]
    assert all(row["full"]["step"] > 0 and row["full"]["seconds"] > 0 for row in rows)
    table = (tmp_path / "crossover.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert "| 40 |" in table and "- K = 30 pays from" in table


def row(size, full, sampled):
    """Returns a measured row: milliseconds, and None if the loss was not reached."""
    return {"size": size, "full": {"seconds": full}, "K = 5": {"seconds": sampled}}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(10, 1, 2), row(20, 2, 1), row(30, 3, 1)], 20),
        ([row(10, 2, 1), row(20, 1, 2), row(30, 3, 1)], 30),
        ([row(10, 2, 1), row(20, 1, None)], None),
        ([{"size": 5, "full": {"seconds": 1}}, row(10, 2, 1)], 10),
    ],
)
def test_the_crossover_is_the_size_above_which_sampling_is_always_faster(rows, expected):
    assert crossover.crossover(rows, "K = 5", "seconds") == expected


def test_equal_sizes_have_equal_data():
    one, other = crossover.Data(50), crossover.Data(50)
    for first, second in zip((*one.held_out, *one.rows(7)), (*other.held_out, *other.rows(7))):
        assert torch.equal(first, second)
    contexts, items = one.rows(4000)
    assert items.min() >= 0 and items.max() < 50
    # Items depend on the context, which is what the model can learn.
    shares = torch.stack([torch.bincount(items[contexts % 2 == k], minlength=50) for k in (0, 1)])
    assert (shares[0] - shares[1]).abs().max() > 20

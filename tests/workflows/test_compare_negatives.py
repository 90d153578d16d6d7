"""Tests the comparison of negatives: data, model, rows, arithmetic, interrupted runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflows"))

import compare_negatives
import comparison_data
import comparison_report
import negative_rows
from baselines import nearest_items
from comparison_data import read_data, read_sequences
from comparison_training import batches, cross_entropy, rows_of
from sasrec import LONGEST, SASRec

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.domain import IdDomain

LINES = ["1 7 5 7 9 4", "2 5 7 5 8", "3 5 5 9 7", "4 1 2 3", ""]
"""Training has 7 5 7, 5 7 and 5 5, so item 5 gets id 1 and item 7 id 2. User 4 is left out."""


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(5)
    lines = [
        " ".join(map(str, [user, *rng.zipf(1.6, rng.integers(5, 12)) % 40])) for user in range(60)
    ]
    (tmp_path / "toy.txt").write_text("\n".join(lines))
    return read_sequences(tmp_path / "toy.txt")


def plain(arrays):
    return [ids.tolist() for ids in arrays]


def test_the_last_two_items_of_a_user_are_held_out(tmp_path):
    (tmp_path / "d.txt").write_text("\n".join(LINES))
    data = read_sequences(tmp_path / "d.txt")
    assert plain(data.train) == [[2, 1, 2], [1, 2], [1, 1]]
    assert plain(data.test[0]) == [[2, 1, 2], [1, 2, 1], [1, 1]]  # item 9 is removed from queries
    assert data.test[1].tolist() == [0, 0, 2]
    valid = sorted(zip(plain(data.valid[0]), data.valid[1].tolist()))
    assert valid == [([1, 1], 0), ([1, 2], 1), ([2, 1, 2], 0)]
    assert (data.popularity.min_id, data.popularity.max_id) == (1, 2)
    assert data.popularity.steps == "1:4,2:3,3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2 3 4\n1,2,3,4", "whole numbers.*1,2,3,4"),
        (b"1 2 3 4 5\n2 18446744073709551615 3 4 5", r"below 2\*\*63.*'2 18446744073709551615"),
        (b"1 2 3\n", "four or more"),
        (b"", "four or"),
        ("1 2 3 4 5".encode("utf-16"), r"text files in UTF-8.*d\.txt.*save the file as UTF-8"),
        (None, r"Expected --data.*No such file.*Correct the path"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    if text is not None:
        (tmp_path / "d.txt").write_bytes(text)
    with pytest.raises(PopSamplerError, match=message):
        read_data(tmp_path / "d.txt")


def test_a_mark_of_the_encoding_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "d.txt").write_text("\n".join(LINES), "utf-8-sig")
    assert plain(read_sequences(tmp_path / "d.txt").train) == [[2, 1, 2], [1, 2], [1, 1]]


def sasrec(number=30):
    torch.manual_seed(3)
    return SASRec(number, dim=8, dropout=0.0)


def test_a_query_reads_no_later_item_and_no_other_sequence():
    model = sasrec()
    ids, lengths = torch.tensor([3, 5, 9, 4, 8, 2, 7]), torch.tensor([4, 3])
    queries = model(ids, lengths)
    assert model.positives(ids, lengths).tolist() == [5, 9, 4, 2, 7]
    model.eval()
    for row, read in enumerate([[3], [3, 5], [3, 5, 9], [8], [8, 2]]):
        alone = model(torch.tensor(read), torch.tensor([len(read)]))
        torch.testing.assert_close(queries[row], alone[0])
    torch.testing.assert_close(
        model(ids, lengths)[1], model(torch.tensor([8, 2, 7]), torch.tensor([3]))[0]
    )


def test_a_query_reads_the_last_items_only():
    model, ids = sasrec(LONGEST + 9), torch.arange(1, LONGEST + 6)
    lengths = torch.tensor([len(ids)])
    assert len(model(ids, lengths)) == LONGEST
    assert model.positives(ids, lengths).tolist() == ids[-LONGEST:].tolist()
    model.eval()
    cut = model(ids[-LONGEST:], torch.tensor([LONGEST]))
    torch.testing.assert_close(model(ids, lengths), cut)


def test_every_sequence_trains_once_an_epoch(data):
    numbered = [np.array([place] * len(ids)) for place, ids in enumerate(data.train)]
    found = list(batches(numbered, 7, np.random.default_rng(1)))
    assert sorted(ids[0] for batch in found for ids in batch) == list(range(len(data.train)))
    assert max(map(len, found)) <= 8


def first_step(data, samples, name):
    model = sasrec(data.popularity.domain.cardinality)
    rows = rows_of(model, data.train[:20])
    return model, rows, negative_rows.TRAINED[name](data, samples, 7)


@pytest.mark.parametrize("name", list(negative_rows.TRAINED))
def test_every_row_trains(data, name):
    model, rows, loss = first_step(data, 8, name)
    value = loss(rows)
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(each.grad).all() for each in model.parameters())
    assert (model.items.weight.grad != 0).any()


@pytest.mark.parametrize("kind", ["uniform", "measured", "log-uniform"])
def test_all_items_as_samples_are_the_full_softmax(data, kind):
    everything = data.popularity.domain.size
    _, rows, loss = first_step(data, everything, f"{kind}, corrected")
    full = negative_rows.TRAINED["full softmax"](data, everything, 7)
    torch.testing.assert_close(loss(rows), full(rows), rtol=1e-5, atol=1e-6)


def test_gbce_by_hand(data):
    """With all items but the positive as negatives, the share of samples is n / (n - 1)."""
    size = data.popularity.domain.size
    _, rows, loss = first_step(data, size, "gBCE")
    share = size / (size - 1)
    power = share * (0.75 * (1 - 1 / share) + 1 / share)
    queries, table = rows.queries.double(), rows.table.weight.double()
    total = 0.0
    for query, positive in zip(queries, rows.positives):
        chances = torch.sigmoid(table @ query)
        others = [item for item in range(1, size + 1) if item != positive]
        total -= power * chances[positive].log() + (1 - chances[others]).log().sum()
    expected = total / len(queries) / (size + 1)
    torch.testing.assert_close(loss(rows).double(), expected, rtol=1e-4, atol=1e-6)


def test_gbce_draws_no_more_than_all_items(data):
    size = data.popularity.domain.size
    losses = []
    for samples in (size, 10 * size):
        _, rows, loss = first_step(data, samples, "gBCE")
        losses.append(loss(rows))
    assert losses[0] == losses[1]


def test_nearest_items_by_hand():
    """Item 3 is in three sessions, 4 and 6 in two, 5 in one; 3 and 4 share two sessions."""
    sessions = [np.array(ids) for ids in ([3, 4], [4, 3, 5], [6], [3, 6])]
    near = nearest_items(sessions, IdDomain(3, 7), 3)
    assert near.tolist() == [[0] * 3] * 3 + [[4, 5, 6], [3, 5, 0], [4, 3, 0], [3, 0, 0], [0] * 3]


def test_hard_negatives_are_not_the_user_s_own(data, monkeypatch):
    asked = []

    class Loss(torch.nn.Module):
        def forward(self, queries, positives, table, hard_negative_ids):
            asked.append(hard_negative_ids)
            return queries.sum()

    monkeypatch.setattr(negative_rows, "SampledSoftmaxLoss", lambda _: Loss())
    _, rows, loss = first_step(data, 8, "measured and hard, corrected")
    loss(rows)
    near = nearest_items(data.train, data.popularity.domain, negative_rows.HARD)
    place = 0
    for ids in data.train[:20]:
        for positive in ids[1:]:
            expected = [item if item not in ids else 0 for item in near[positive]]
            assert asked[0][place].tolist() == expected
            place += 1
    assert place == len(asked[0])


def test_the_cross_entropy_counts_items_alone(data):
    model = sasrec(data.popularity.domain.cardinality).eval()
    queries, positives = data.test
    losses = []
    for ids, positive in zip(queries, positives):
        if positive:
            query = model(torch.from_numpy(ids), torch.tensor([len(ids)]))[0]
            losses.append(-torch.log_softmax(model.items.weight[1:] @ query, 0)[positive - 1])
    assert 0 < len(losses) < len(positives)
    assert cross_entropy(model, data) == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def run(row, seed, gains, **more):
    return {"row": row, "samples": 0, "seed": seed, "gains": gains, **more}


def test_differences_are_paired_by_seed_and_query():
    runs = [
        run("full softmax", 1, [1.0, 0.0, 0.5, 0.0], epochs=3),
        run("full softmax", 2, [1.0, 0.0, 0.0, 0.0], epochs=5),
        run("other", 1, [0.0, 0.0, 0.5, 0.0], epochs=1),
        run("other", 3, [1.0, 1.0, 1.0, 1.0], epochs=1),  # the full softmax lacks this seed
        run("untrained", None, [1.0, 1.0, 0.0, 0.0]),
    ]
    full, other, untrained = comparison_report.summary(runs)
    assert "difference" not in full and full["seeds"] == [1, 2]
    assert other["difference"]["ndcg@10"] == pytest.approx([-0.25, 0.25])
    assert other["difference"]["recall@10"] == pytest.approx([-0.25, 0.25])
    of_query = np.mean([[0, 1, -0.5, 0], [0, 1, 0, 0]], axis=0)
    expected = np.mean(of_query), np.std(of_query, ddof=1) / 2
    assert untrained["difference"]["ndcg@10"] == pytest.approx(expected)
    assert untrained["seeds"] == []


def test_the_correction_is_paired_with_the_same_samples():
    runs = [
        run("measured, corrected", 1, [1.0, 1.0, 0.0, 0.0]),
        run("measured, uncorrected", 1, [1.0, 0.0, 0.0, 0.0]),
        {**run("measured, corrected", 1, [0.0, 0.0, 0.0, 0.0]), "samples": 9},
        run("uniform, uncorrected", 1, [1.0, 0.0, 0.0, 0.0]),  # its corrected row is missing
    ]
    _, uncorrected, _, uniform = comparison_report.summary(runs)
    expected = -0.25, np.std([0, 1, 0, 0], ddof=1) / 2
    assert uncorrected["from_corrected"]["recall@10"] == pytest.approx(expected)
    assert "difference" not in uncorrected and "from_corrected" not in uniform


def test_an_interrupted_comparison_continues(tmp_path):
    """Runs with a file are not repeated, missing ones are run, and the table lists those."""
    rng = np.random.default_rng(5)
    lines = (" ".join(map(str, [user, *rng.integers(1, 30, 6)])) for user in range(40))
    (tmp_path / "toy.txt").write_text("\n".join(lines))
    command = [sys.executable, str(ROOT / "workflows" / "compare_negatives.py"), "--data"]
    command += [str(tmp_path / "toy.txt"), "--output", str(tmp_path / "out"), "--num-sampled", "5"]
    command += ["--rows", "full softmax", "measured, corrected", "--epochs", "1", "--seeds", "1"]
    command += ["--jobs", "2"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    made = tmp_path / "out" / "runs"
    made.mkdir(parents=True)
    sizes = {"data": "toy", "items": 29, "sequences": 40, "settings": {}}
    sizes["path"] = str((tmp_path / "toy.txt").resolve())
    kept = run("popularity", None, [0.25] * 40, **sizes)
    (made / "toy-popularity.json").write_text(json.dumps(kept))
    found = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert json.loads((made / "toy-popularity.json").read_text()) == kept
    assert "popularity" not in found.stdout.split("###")[0]
    assert found.stdout.count("made ") == 3 and "Not run yet" not in found.stdout
    result = json.loads((tmp_path / "out" / "compare_negatives.json").read_text())["toy"]
    assert [row["row"] for row in result["rows"]] == [
        "popularity",
        "item kNN",
        "full softmax",
        "measured, corrected",
    ]
    assert (tmp_path / "out" / "compare_negatives.png").stat().st_size > 10_000
    assert result["settings"]["epochs"] == 1
    other = subprocess.run([*command, "--dim", "8"], env=env, capture_output=True, text=True)
    assert other.returncode == 1 and other.stderr.count("\n") == 1
    assert re.search("'dim': 8.*toy-full-softmax-seed-1.json. Received:.*'dim': 64", other.stderr)
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "toy.txt", tmp_path / "other")
    command[3] = str(tmp_path / "other" / "toy.txt")
    other = subprocess.run(command, env=env, capture_output=True, text=True)
    assert other.returncode == 1
    assert re.search("other/toy.txt.*toy-popularity.json. Received:.*/toy.txt", other.stderr)
    for file in made.glob("*measured*"):
        file.unlink()
    names = ["popularity", "item kNN", "full softmax"]
    text = comparison_report.write_report(tmp_path / "out", names, ["toy: measured"])
    assert text.endswith("Not run yet:\n\n- toy: measured")


def test_data_sets_have_names_of_their_own(tmp_path):
    """Regression: the runs of 2024.05 and of 2024.06 had one file."""
    folders = [tmp_path / "2024.05", tmp_path / "2024.06", tmp_path / "more" / "2024-05"]
    for folder in folders:
        folder.mkdir(parents=True)
    runs = [compare_negatives.Run(folder, "popularity", 0, None) for folder in folders]
    assert runs[0].name == "2024.05: popularity"
    assert runs[0].file(tmp_path) != runs[1].file(tmp_path)
    comparison_data.check_names(folders[:2])
    with pytest.raises(PopSamplerError, match="names that differ.*2024.05 and .*2024-05. Rename"):
        comparison_data.check_names(folders)
    args = compare_negatives.parse_args(["--data", *map(str, folders), "--output", str(tmp_path)])
    with pytest.raises(PopSamplerError, match="names that differ"):
        compare_negatives.compare(args)


def test_a_run_that_is_asked_for_twice_is_made_once(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(compare_negatives, "write_run", lambda run, args: made.append(run))
    monkeypatch.setattr(compare_negatives, "report", lambda asked, output: "")
    flags = ["--rows", "full softmax", "full softmax", "--seeds", "1"]
    args = compare_negatives.parse_args(["--data", "d.txt", "--output", str(tmp_path), *flags])
    compare_negatives.compare(args)
    assert [run.row for run in made] == ["popularity", "item kNN", "full softmax"]


def test_a_run_that_fails_stops_the_comparison(monkeypatch, tmp_path):
    begun = []

    def write_run(run, args):
        begun.append(run)
        time.sleep(0.1)
        raise RuntimeError("no memory")

    monkeypatch.setattr(compare_negatives, "write_run", write_run)
    args = compare_negatives.parse_args(
        ["--data", "d.txt", "--output", str(tmp_path), "--seeds", "20", "--jobs", "2"]
    )
    with pytest.raises(RuntimeError, match="no memory"):
        compare_negatives.compare(args)
    assert 2 <= len(begun) <= 4  # of 122

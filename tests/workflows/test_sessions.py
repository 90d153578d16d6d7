"""Tests which sessions train, which are held out, and which items are positives."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")
tf = pytest.importorskip("tensorflow")

import sessions
import splits


def written(folder, number, rng):
    """Writes sessions to two files, not ordered by time, and returns when each ended."""
    ended = rng.permutation(number) * 7
    lists = [[3 + i, 4 + i] for i in range(number)]
    frame = pd.DataFrame({"item_id": lists, "session": range(number), "ended": ended})
    frame[: number // 3].to_parquet(folder / "part_0.parquet")
    frame[number // 3 :].to_parquet(folder / "part_1.parquet")
    return frame


@pytest.mark.parametrize(("number", "held_out"), [(2, 1), (19, 1), (400, 40)])
def test_the_sessions_that_ended_last_are_held_out(number, held_out, tmp_path, rng):
    frame = written(tmp_path, number, rng)
    found = splits.read_sessions(tmp_path, after=splits.last_to_train(tmp_path))
    last = frame.sort_values("ended").index[-held_out:]
    assert sorted(ids[0] - 3 for ids in found) == sorted(last)
    assert len(splits.read_sessions(tmp_path)) == number


def test_so_many_are_enough_to_hold_out(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(splits, "MOST_HELD_OUT", 11)
    written(tmp_path, 400, rng)
    assert len(splits.read_sessions(tmp_path, after=splits.last_to_train(tmp_path))) == 11


def test_one_session_cannot_train_and_be_held_out(tmp_path, rng):
    written(tmp_path, 1, rng)
    with pytest.raises(PopSamplerError, match=r"two or more sessions .* Received: 1\."):
        splits.last_to_train(tmp_path)


@pytest.mark.parametrize("columns", [None, ["item_id", "session"]])
def test_what_preprocess_did_not_write_is_refused(columns, tmp_path, rng):
    """Cases: no data, and data of an older version without the end times of sessions."""
    if columns:
        written(tmp_path, 4, rng)[columns].to_parquet(tmp_path / "part_0.parquet")
    with pytest.raises(PopSamplerError, match=r"preprocess\.py first"):
        splits.read_sessions(tmp_path)


def batch(lists, ended):
    splits = np.concatenate([[0], np.cumsum([len(ids) for ids in lists])])
    return {
        "item_id__values": tf.constant(np.concatenate(lists).astype(np.int64)),
        "item_id__offsets": tf.constant(splits),
        "ended": tf.constant(ended),
    }


@pytest.mark.parametrize(
    ("first", "positives"), [(0, [3, 9, 4, 4, 7]), (1, [9, 4, 7])], ids=["others", "next"]
)
def test_every_item_of_a_session_that_trains_is_a_positive(first, positives):
    """Left out are held-out sessions (after 5), reserved ids, and sessions of one item."""
    lists = [[3, 1, 9, 4], [5, 6, 8], [2, 8], [4, 7]]
    examples = sessions.Examples(until=5, min_id=3, first=first)
    features, targets = examples(batch(lists, [5, 6, 1, 2]))
    assert sorted(features) == ["session_items__offsets", "session_items__values"]
    assert features["session_items__values"].numpy().tolist() == [3, 9, 4, 4, 7]
    assert features["session_items__offsets"].numpy().tolist() == [0, 3, 5]
    assert targets.shape == (len(positives), 1)
    assert targets.numpy().ravel().tolist() == positives
    _, others = examples(batch([[3, 4], [4, 9, 7]], [1, 2]))
    assert others.numpy().ravel().tolist() == [3, 4, 4, 9, 7] if first == 0 else [4, 9, 7]


def test_features_of_the_positives_take_the_place_of_targets():
    class Squares:
        def features(self, ids):
            return {"item_id": ids, "square": ids * ids}

    examples = sessions.Examples(until=5, min_id=3, first=0, features=Squares())
    inputs, targets = examples(batch([[3, 1, 9, 4]], [5]))
    assert targets is None
    assert sorted(inputs) == [
        "item_id",
        "session_items__offsets",
        "session_items__values",
        "square",
    ]
    assert inputs["square"].numpy().tolist() == [9, 81, 16]


def test_a_batch_may_have_nothing_to_train_on():
    features, targets = sessions.Examples(until=0, min_id=3, first=1)(batch([[3, 4]], [1]))
    assert features["session_items__offsets"].numpy().tolist() == [0]
    assert targets.shape == (0, 1)

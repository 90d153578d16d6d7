"""Tests FrequencyOrder after encoders: changed ids, and shared vocabularies."""

import numpy as np
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, FrequencyOrderError
from tests.support.workflow_helpers import (
    check_contract,
    dataset,
    fitted,
    popularity,
)

ENCODERS = pytest.mark.parametrize("encoder", [FrequencyCategorify, ops.Categorify])


@pytest.fixture
def frame(rng):
    items = rng.zipf(1.3, 3000) % 97 * 7
    sessions = rng.integers(0, 300, 3000)
    return pd.DataFrame({"item_id": items, "other": items[::-1] // 2, "session": sessions})


def shifted(ids):
    return ids - 2


def halved(ids):
    return ids % 2


def moved(ids):
    return ids + 10


@ENCODERS
@pytest.mark.parametrize("on_violation", ["warn", "remap"])
@pytest.mark.parametrize(
    ("between", "proof"),
    [
        (ops.LambdaOp(shifted), "id 1 .* times, of at most 0"),
        (ops.LambdaOp(halved), "id 0 .* times, of at most 0"),
        (ops.LambdaOp(moved), "id 109, where the encoder's last is 99"),
        (ops.HashBucket(20), "id 0 .* times, of at most 0"),
    ],
)
def test_ids_that_were_changed_are_refused(frame, tmp_path, encoder, on_violation, between, proof):
    """An operator after the encoder gives items other ids: reserved ones, or ids above the last."""
    node = ["item_id"] >> encoder(out_path=str(tmp_path)) >> between
    order = FrequencyOrder(on_violation=on_violation, out_path=str(tmp_path))
    with pytest.raises(FrequencyOrderError, match=f"'item_id'.*{proof}.*before the encoder"):
        fitted(node >> order, frame)
    assert order.fits == {}


def test_the_advice_is_right(frame, tmp_path):
    keys = ["item_id"] >> ops.LambdaOp(shifted) >> FrequencyCategorify(out_path=str(tmp_path))
    workflow = fitted(keys >> FrequencyOrder(out_path=str(tmp_path)), frame)
    ids = workflow.transform(dataset(frame)).compute()["item_id"]
    check_contract(popularity(workflow), ids, reserved=3)


def test_the_earlier_fit_serves_after_ids_were_changed(frame, tmp_path):
    """The fit is refused after all operators were fitted, and is undone."""
    shift = {"by": 0}
    ids = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "ids"))
    kept = ids >> ops.Filter(lambda df: df[(df["item_id"] != 3) | (df.index % 5 == 0)])
    order = FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "order"))
    workflow = fitted(kept >> ops.LambdaOp(lambda column: column - shift["by"]) >> order, frame)
    stated, found = popularity(workflow), dict(order.fits)
    shift["by"] = 2
    with pytest.raises(FrequencyOrderError, match="of at most 0"):
        workflow.fit(dataset(frame))
    assert popularity(workflow) == stated
    assert order.fits == found


def test_swaps_of_equal_counts_cannot_be_detected(tmp_path):
    """Two items swap ids: each id occurs as often as in the encoder's counts."""
    frame = pd.DataFrame({"item_id": [5, 5, 6, 6]})
    swapped = ops.LambdaOp(lambda ids: 7 - ids)
    node = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path)) >> swapped
    workflow = fitted(node >> FrequencyOrder(out_path=str(tmp_path)), dataset(frame, 1))
    assert (popularity(workflow)["min_id"], popularity(workflow)["max_id"]) == (3, 4)


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        (ops.Categorify, {}),
        (FrequencyCategorify, {}),
        (FrequencyCategorify, {"freq_threshold": 9}),
        (FrequencyCategorify, {"max_size": 9}),
    ],
)
def test_padded_lists_and_nulls_are_not_changed_ids(rng, tmp_path, encoder, options):
    """Padding occurs more often than in the encoder's counts, which have none."""
    lists = [[f"k{key}" for key in rng.zipf(1.4, 2) % 40] for _ in range(400)]
    frame = pd.DataFrame({"item_id": [[None, *keys] if keys[0] > "k2" else keys for keys in lists]})
    padded = ops.LambdaOp(lambda lists: lists.map(lambda ids: [*ids, 0, 0, 0, 0]))
    ids = ["item_id"] >> encoder(out_path=str(tmp_path), **options) >> padded
    node = ids >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path))
    workflow = fitted(node, dataset(frame, 1))
    ids = np.concatenate(workflow.transform(dataset(frame, 1)).compute()["item_id"].tolist())
    assert (ids == 0).sum() > len(ids) / 2
    check_contract(popularity(workflow), ids, reserved=3)


def test_more_rows_than_the_encoder_counted_are_not_changed_ids(frame, tmp_path):
    """The encoder counted fewer rows; only an id above its range is an error."""
    encoder = fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path)), frame[:2000])
    data = encoder.transform(dataset(pd.concat([frame, frame])))
    workflow = fitted(["item_id"] >> FrequencyOrder("count", "remap", out_path=str(tmp_path)), data)
    ids = workflow.transform(data).compute()["item_id"]
    check_contract(popularity(workflow), ids, reserved=3)
    changed = ["item_id"] >> ops.LambdaOp(moved)
    with pytest.raises(FrequencyOrderError, match="where the encoder's last is"):
        fitted(changed >> FrequencyOrder("count", "remap", out_path=str(tmp_path / "b")), data)


def one_to_one(before, after):
    """Tests whether every old id has one new id, the same in all columns."""
    pairs = {pair for column in before for pair in zip(before[column], after[column])}
    return len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})


def test_a_joint_vocabulary_has_one_map_without_being_asked(frame, tmp_path):
    joint = [["item_id", "other"]] >> FrequencyCategorify(out_path=str(tmp_path / "ids"))
    kept = joint >> ops.Filter(lambda df: df[(df["item_id"] > 4) | (df["other"] % 3 == 0)])
    before = fitted(kept, frame).transform(dataset(frame)).compute()
    node = kept >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "order"))
    workflow = fitted(node, frame)
    after = workflow.transform(dataset(frame)).compute()
    assert one_to_one(before, after)
    assert popularity(workflow, "item_id") == popularity(workflow, "other")
    pooled = np.concatenate([after["item_id"], after["other"]])
    check_contract(popularity(workflow, "item_id"), pooled, reserved=3)
    workflow.fit(dataset(frame))  # before a second fit, the schema is that of the first
    pd.testing.assert_frame_equal(workflow.transform(dataset(frame)).compute(), after)


def test_aggregates_of_one_column_have_one_map(frame, tmp_path):
    """Covers the list of a session's items, and the last item."""
    ids = (["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "ids"))) + ["session"]
    sessions = ids >> ops.Groupby(
        groupby_cols=["session"], aggs={"item_id": ["list", "last"]}, name_sep="-"
    )
    node = sessions["item_id-list", "item_id-last"] >> FrequencyOrder(
        on_violation="remap", out_path=str(tmp_path / "order")
    )
    workflow = fitted(node, dataset(frame, 1))
    after = workflow.transform(frame)
    assert (after["item_id-list"].map(lambda row: row[-1]) == after["item_id-last"]).all()
    pooled = np.concatenate([*after["item_id-list"], after["item_id-last"]])
    check_contract(popularity(workflow, "item_id-last"), pooled, reserved=3)


def test_a_joint_vocabulary_of_another_encoder_is_not_split(frame, tmp_path):
    """Categorify's schema shows a joint vocabulary only after the fit."""
    joint = [["item_id", "other"]] >> ops.Categorify(out_path=str(tmp_path / "ids"))
    kept = joint >> ops.Filter(lambda df: df[df["item_id"] > 4])
    order = FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "order"))
    advice = "Pass groups=[['item_id', 'other']]"
    with pytest.raises(FrequencyOrderError) as refused:
        fitted(kept >> order, frame)
    assert advice in str(refused.value)
    assert order.fits == {}
    node = kept >> FrequencyOrder(
        on_violation="remap", groups=[["item_id", "other"]], out_path=str(tmp_path / "groups")
    )
    before = fitted(kept, frame).transform(dataset(frame)).compute()
    assert one_to_one(before, fitted(node, frame).transform(dataset(frame)).compute())


def test_two_vocabularies_of_one_name_are_not_pooled(frame, tmp_path):
    first = (
        ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "a")) >> ops.Rename(postfix="_a")
    )
    keys = ["item_id"] >> ops.LambdaOp(halved)
    second = keys >> FrequencyCategorify(out_path=str(tmp_path / "b")) >> ops.Rename(postfix="_b")
    order = FrequencyOrder(out_path=str(tmp_path / "order"))
    with pytest.raises(FrequencyOrderError, match="'item_id_a', 'item_id_b'.*of its own"):
        fitted(first + second >> order, frame)
    assert order.fits == {}
    orders = [FrequencyOrder(out_path=str(tmp_path / name)) for name in "cd"]
    workflow = fitted((first >> orders[0]) + (second >> orders[1]), frame)
    assert popularity(workflow, "item_id_b")["max_id"] == 4
    assert popularity(workflow, "item_id_a")["max_id"] == 2 + frame["item_id"].nunique()


def test_label_encoded_ids_get_a_domain(tmp_path):
    """Models size the embedding table by the domain."""
    frame = pd.DataFrame({"item_id": [0, 0, 0, 1, 1, 2], "label": [4, 4, 4, 4, 5, 5]})
    workflow = fitted(["item_id", "label"] >> FrequencyOrder(out_path=str(tmp_path)), frame)
    domain = workflow.output_schema["item_id"].int_domain
    assert (domain.min, domain.max) == (0, 2)
    assert workflow.output_schema["label"].properties["domain"] == {
        "min": 0, "max": 5, "name": "label",
    }  # fmt: skip

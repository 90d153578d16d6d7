"""The output with lists of ids for each row, which are columns of the batch, and on all items."""

import numpy as np
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.tf import AllItems, InBatch
from merlin_popsampler.tf.merlin_models import ContrastiveOutput
from tests.support.contrastive_models import (
    BATCH,
    ITEM,
    LISTS,
    MAX_ID,
    MIN_ID,
    features,
    frame,
    items_tower,
    sampler,
    with_lists,
    with_towers,
)
from tests.support.loss_oracles import full_softmax, losses_by_hand, ranked_by_hand

COLUMNS = {"excluded": "history", "hard_negatives": "shown"}


def numbers(model, output):
    """Queries and items of the rows of the first batch whose item counts, and their lists."""
    rows = frame()[:BATCH]
    counting = rows["item"].between(MIN_ID, MAX_ID).to_numpy()
    query = model.query_encoder({"user": tf.constant(rows["user"].to_numpy())}).numpy()
    lists = [[LISTS[name][row % 4] for row in np.flatnonzero(counting)] for name in LISTS]
    return counting, query[counting], rows["item"].to_numpy()[counting], *lists


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("targets", [True, False], ids=["of targets", "of features"])
def test_the_loss_is_the_formula(targets, correct):
    model, rows = with_lists(targets, **COLUMNS, correct_positive=correct)
    output = model.last
    inputs, wanted = next(iter(rows))
    model(inputs, targets=wanted, training=True)
    output.set_negative_samplers(sampler())
    prediction = model(inputs, targets=wanted, training=True)
    counting, query, ids, excluded, hard = numbers(model, output)
    twin = sampler()
    drawn, counts = twin.sample_ids().numpy(), twin.expected_count(np.arange(MAX_ID + 1)).numpy()
    vectors = output.to_call.embeddings.numpy()
    arguments = (query, vectors, ids, drawn, counts, 1.0, excluded, correct)
    expected = losses_by_hand(*arguments, hard=hard)
    log_probs = prediction.outputs.numpy()[counting]
    np.testing.assert_allclose(-log_probs[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert log_probs.shape[1] == 1 + len(drawn) + 1
    np.testing.assert_allclose(np.exp(log_probs).sum(1), 1.0, rtol=1e-5)
    assert (abs(losses_by_hand(*arguments) - expected) > 1e-3).any()


def test_a_model_trains_on_columns_and_is_evaluated_without_the_history():
    model, rows = with_lists(**COLUMNS)
    losses = model.fit(rows, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1
    inputs, wanted = next(iter(rows))
    prediction = model(inputs, targets=wanted, testing=True)
    counting, query, ids, excluded, _ = numbers(model, model.last)
    table = np.zeros([103, 4])
    table[: MAX_ID + 1] = model.last.to_call.embeddings.numpy()
    absent = list(range(MAX_ID + 1, 103))
    expected, _ = ranked_by_hand(query, table, ids, 1.0, [[*each, *absent] for each in excluded])
    np.testing.assert_allclose(-prediction.outputs.numpy()[counting, 0], expected, rtol=1e-4)


def test_hard_negatives_go_through_the_item_tower():
    """An item that is in no row, and was not drawn, moves; a list that is empty moves none."""
    moved = []
    for hard in ([[13]], [[0]]):
        model, output = with_towers(sampler(max_num_samples=1), hard_negatives="shown")
        batch = {name: tf.constant([3]) for name in ("user", "item", "brand")}
        model({**batch, "user": tf.constant([3])})
        query = tf.ones([1, 4])
        inputs = {
            "query": query,
            "candidate": output.candidate({**batch, "item": tf.constant([3])}),
        }
        table = next(v for v in output.candidate.variables if v.shape[0] == MAX_ID + 1)
        with tf.GradientTape() as tape:
            prediction = output(
                inputs, features={**batch, "shown": tf.constant(hard)}, training=True
            )
            loss = output.default_loss(prediction.targets, prediction.outputs)
        moved.append(np.abs(tf.convert_to_tensor(tape.gradient(loss, table))).max(1)[13] > 0)
    assert moved == [True, False]


def test_positions_of_a_session_share_its_lists():
    output = ContrastiveOutput(ITEM, sampler(max_num_samples=12), excluded="history")
    output.build([None, 4])
    query = tf.RaggedTensor.from_row_lengths(tf.random.stateless_normal([3, 4], [1, 2]), [2, 1])
    ids, history = tf.constant([3, 4, 5]), tf.ragged.constant([[[7], [9]], [[8]]], ragged_rank=1)
    found = output(query, features={"history": history}, targets={"item": ids}, training=True)
    output.set_negative_samplers(sampler(max_num_samples=12))
    repeated = tf.constant([[7, 9], [7, 9], [8, 0]])
    expected = output(
        query.flat_values, features={"history": repeated}, targets={"item": ids}, training=True
    )
    np.testing.assert_array_equal(found.outputs, expected.outputs)


def test_all_items_are_the_full_softmax_of_a_table():
    model, rows = with_lists(negatives=AllItems(MAX_ID, MIN_ID), excluded="history")
    history = model.fit(rows, epochs=10, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 0.3
    assert np.isnan(history["recall_at_20"]).all()
    inputs, wanted = next(iter(rows))
    counting, query, ids, excluded, _ = numbers(model, model.last)
    expected = full_softmax(query, model.last.to_call.embeddings.numpy(), ids, 1.0, excluded)[0]
    for mode in ("training", "testing"):
        found = model(inputs, targets=wanted, **{mode: True}).outputs.numpy()[counting]
        np.testing.assert_allclose(-found[:, 0], expected, rtol=1e-4, atol=1e-5)
    found = model(inputs, targets=wanted, training=True).outputs.numpy()[counting]
    np.testing.assert_allclose(np.exp(found).sum(1), 1.0, rtol=1e-5)
    again = ContrastiveOutput.from_config(model.last.get_config())
    assert again.negative_samplers.domain == model.last.negative_samplers.domain
    assert (again.excluded, again.hard_negatives) == ("history", None)


def test_all_items_need_a_table():
    settings = {"schema": ITEM, "candidate": items_tower(), "item_features": features()}
    with pytest.raises(PopSamplerError, match="an item table with AllItems"):
        ContrastiveOutput(None, AllItems(MAX_ID, MIN_ID), **settings)


def test_nothing_is_gathered():
    """Merlin Models cannot build a model under a strategy, so there is one device."""
    counts = np.arange(20, 0, -1)[: MAX_ID - MIN_ID + 1]
    gathering = InBatch.from_counts((np.arange(MIN_ID, MAX_ID + 1), counts), gather=True)
    with pytest.raises(PopSamplerError, match="one device.*Leave gather out, or train with"):
        ContrastiveOutput(ITEM, gathering)
    gathering = InBatch.from_counts((np.arange(MIN_ID, MAX_ID + 1), counts))
    assert not ContrastiveOutput(ITEM, gathering).negative_samplers.in_batch.gather


def test_a_column_that_is_not_there():
    model, rows = with_lists(without="shown", hard_negatives="shown")
    with pytest.raises(PopSamplerError, match="Column 'shown'"):
        model.fit(rows, verbose=0)
    model.evaluate(rows, verbose=0)  # which needs no hard negatives

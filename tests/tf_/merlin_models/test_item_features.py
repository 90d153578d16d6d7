"""The item table: what a tower receives of ids that were sampled."""

import numpy as np
import pandas as pd
import pytest

tf = pytest.importorskip("tensorflow")

from merlin.dataloader.tensorflow import Loader
from merlin.io import Dataset
from merlin.schema import Schema, Tags

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError, SchemaError
from merlin_popsampler.tf import PopularityBasedSampler
from merlin_popsampler.tf.merlin_models import ItemFeatures, item_features
from merlin_popsampler.tf.merlin_models.item_features import required
from tests.support.item_tables import (
    MIN_ID,
    Tower,
    TwoTowers,
    by_hand,
    frame_of,
    items_of,
    schema_of,
    table_of,
)

ITEMS = 40
FRAME = frame_of(ITEMS)
IDS = [7, 3, 42, 7, 20]


def assert_same(batch, expected):
    assert set(batch) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(batch[name], values, err_msg=name)
        assert batch[name].dtype == values.dtype, name


@pytest.fixture(params=["memory", "files", "both"])
def table(request, tmp_path):
    limit = {"memory": 1 << 20, "files": 0, "both": 400}[request.param]
    return table_of(FRAME, folder=tmp_path / "features", max_bytes=limit)


def test_items_features_by_hand(table):
    """The order of the rows, their files, and the place of the table have no effect."""
    assert_same(table.features(tf.constant(IDS)), by_hand(FRAME, IDS))
    every = list(range(MIN_ID, MIN_ID + ITEMS))
    assert_same(table.features(tf.constant(every, tf.int64)), by_hand(FRAME, every))
    assert_same(tf.function(table.features)(tf.constant(IDS)), by_hand(FRAME, IDS))
    assert_same(table.features(tf.constant(IDS, tf.int32)[:, None]), by_hand(FRAME, IDS))
    assert table.features(tf.zeros([0], tf.int64))["tags__offsets"].numpy().tolist() == [0]


def test_a_batch_of_the_loader_has_the_same_form(table):
    """Names, types, ranks and the unknown length in a graph, as well as the values."""
    batches = Loader(items_of(FRAME, 2), batch_size=16)
    specs = {}

    @tf.function
    def traced(ids):
        specs.update(
            {name: (x.dtype, x.shape.as_list()) for name, x in table.features(ids).items()}
        )
        return tf.zeros([])

    for batch, _ in batches:
        assert_same(table.features(batch["item"]), {k: v.numpy() for k, v in batch.items()})
        traced(batch["item"])
        assert specs == {k: (v.dtype, [None, *v.shape[1:]]) for k, v in batch.items()}


def test_ids_without_an_item_are_padding(table):
    """Ids without a row get zeros, empty lists, and the id itself."""
    ids = [2, 5, 0, 43, -1, 2**40]
    batch, known = table.features(tf.constant(ids, tf.int64)), by_hand(FRAME, [5])
    assert batch["item"].numpy().tolist() == ids
    lengths = [0, len(known["tags__values"]), 0, 0, 0, 0]
    assert np.diff(batch["tags__offsets"]).tolist() == lengths
    np.testing.assert_array_equal(batch["tags__values"], known["tags__values"])
    for name in ("color", "price", "pair", "vector"):
        values = batch[name].numpy()
        assert not values[[0, 2, 3, 4, 5]].any()
        np.testing.assert_array_equal(values[1], known[name][0])


def test_rows_of_unknown_items_are_passed_over():
    """Unknown items share a reserved id, so that id has several rows; reserved ids are skipped."""
    unknown = pd.concat([FRAME.assign(item=reserved) for reserved in (1, 2)])
    more = pd.concat([unknown, FRAME]).sample(frac=1, random_state=1)
    domain = IdDomain(MIN_ID, MIN_ID + ITEMS - 1)
    assert_same(table_of(more, domain=domain).features(IDS), by_hand(FRAME, IDS))


def with_contract(schema, digest="a", max_id=MIN_ID + ITEMS - 1):
    metadata = PopularityMetadata(MIN_ID, max_id, False, "counted", digest=digest)
    return Schema([with_popularity(schema["item"], metadata), *schema.remove_col("item")])


def test_the_schema_says_which_ids_need_a_row(tmp_path):
    schema = with_contract(schema_of(FRAME))
    items = Dataset(FRAME, cpu=True, schema=schema)
    assert ItemFeatures.from_dataset(items).domain == IdDomain(3, 42)
    items.to_parquet(str(tmp_path / "items"))
    for folder in (tmp_path / "items", str(tmp_path / "items")):
        assert_same(ItemFeatures.from_dataset(folder).features(IDS), by_hand(FRAME, IDS))
    bare = Dataset(FRAME, cpu=True)
    users = Schema([*schema, schema["color"].with_name("user")])
    table = ItemFeatures.from_dataset(bare, users)
    assert (table.domain, table.columns) == (IdDomain(3, 42), tuple(FRAME.columns))
    with pytest.raises(SchemaError, match="tagged as item id"):
        ItemFeatures.from_dataset(bare)
    with pytest.raises(SchemaError, match="min_id and max_id"):
        ItemFeatures.from_dataset(items_of(FRAME))
    for items in (FRAME, None):  # a frame's text would be taken for a folder
        with pytest.raises(PopSamplerError, match=f"folder of parquet.*{type(items).__name__}"):
            ItemFeatures.from_dataset(items, users)


@pytest.mark.parametrize("end", ["", "/", "//"])
def test_a_folder_may_end_in_a_slash(tmp_path, end):
    items_of(FRAME).to_parquet(str(tmp_path / "items"))
    domain = IdDomain(MIN_ID, MIN_ID + ITEMS - 1)
    table = ItemFeatures.from_dataset(f"{tmp_path}/items{end}", domain=domain)
    assert_same(table.features(tf.constant(IDS)), by_hand(FRAME, IDS))


def test_items_of_another_fit_are_refused():
    """Their ids are in the same range and stand for other items."""
    items = Dataset(FRAME, cpu=True, schema=with_contract(schema_of(FRAME), "b"))
    ours = with_contract(schema_of(FRAME), "a")
    with pytest.raises(SchemaError, match=r"Column 'item'.*another fit"):
        ItemFeatures.from_dataset(items, ours)
    assert (
        ItemFeatures.from_dataset(items, with_contract(schema_of(FRAME), "b")).domain.size == ITEMS
    )


def test_a_tower_gets_what_it_asks_for(table):
    """A tower passes names, a schema, or an object with one. Missing columns raise an error."""
    schema = schema_of(FRAME)
    tower = type("Tower", (), {"schema": schema.select_by_name(["item", "tags"])})()
    for wanted in (["item", "tags"], tower.schema, tower):
        selected = table.select(wanted)
        assert selected.columns == ("item", "tags")
        assert set(selected.features(IDS)) == {"item", "tags__values", "tags__offsets"}
    assert set(table.select(["price"]).features(IDS)) == {"price"}
    assert table.columns == tuple(FRAME.columns)
    with pytest.raises(PopSamplerError, match=r"'color'.*without \['brand', 'shape'\]"):
        table.select(["brand", "color", "shape"])
    with pytest.raises(PopSamplerError, match=r"without \['brand'\]"):
        table_of(FRAME, columns=["item", "brand"])
    assert table_of(FRAME, columns=["color"]).columns == ("item", "color")


def test_a_sampler_that_draws_other_ids_is_refused(table):
    table.check_serves(IdDomain(3, 42))
    table.check_serves(IdDomain(10, 20))
    for domain in (IdDomain(2, 42), IdDomain(3, 43)):
        with pytest.raises(PopSamplerError, match=rf"{domain.min_id} to {domain.max_id}.*3 to 42"):
            table.check_serves(domain)


@pytest.mark.parametrize("columns", [3, "price", None])
def test_names_of_columns_form_a_list(table, columns):
    """A string would be taken for a list of letters."""
    with pytest.raises(PopSamplerError, match=f"as a list of names.*Received: {columns!r}"):
        table.select(columns)
    if columns:
        with pytest.raises(PopSamplerError, match="as a list of names"):
            table_of(FRAME, columns=columns)


def test_arguments_of_other_types(table):
    sampler = PopularityBasedSampler(max_id=42, min_id=3, max_num_samples=2)
    for domain in (sampler, (3, 42), 42):
        kind = type(domain).__name__
        with pytest.raises(PopSamplerError, match=f"domain to be the ids of a sampler.*{kind}"):
            table_of(FRAME, domain=domain)
        with pytest.raises(PopSamplerError, match="domain to be the ids of a sampler"):
            table.check_serves(domain)
    assert table_of(FRAME, domain=sampler.domain).domain.size == ITEMS
    for limit in ("1 GB", None, -1):
        with pytest.raises(PopSamplerError, match="Pass a number of bytes"):
            table_of(FRAME, max_bytes=limit)
    for other in (3, items_of(FRAME), ItemFeatures):
        with pytest.raises(PopSamplerError, match="item_features to be an ItemFeatures"):
            required(other)


def test_ids_are_integers(table):
    with pytest.raises(PopSamplerError, match="Expected integer ids"):
        table.features([3.0, 4.0])


def bytes_of(graph):
    return len(graph.as_graph_def().SerializeToString())


def graph_bytes():
    """Size of the innermost graph that is current, and of those around it."""
    graph = tf.compat.v1.get_default_graph()
    while hasattr(graph, "outer_graph"):
        yield bytes_of(graph)
        graph = graph.outer_graph


def test_a_table_in_memory_is_captured_and_not_copied():
    """No graph contains the table, if a step is traced several times, or by Keras."""
    size = 100_000
    colors = np.ones(size, np.int32)
    frame = pd.DataFrame({"item": np.arange(size) + MIN_ID, "color": colors})
    table = table_of(frame.assign(price=np.ones(size, np.float32)))
    step = tf.function(lambda ids: table.features(ids)["color"])
    for ids in (tf.zeros([3], tf.int64), tf.zeros([4], tf.int64), tf.zeros([4], tf.int32)):
        assert (
            len(step.get_concrete_function(ids).graph.as_graph_def().SerializeToString()) < 20_000
        )
    copied = tf.function(lambda ids: tf.gather(colors, ids)).get_concrete_function(ids)
    assert len(copied.graph.as_graph_def().SerializeToString()) > 4 * size  # negative control

    model = TwoTowers(Tower(MIN_ID + size), table)
    model.compile("sgd", loss=lambda _, losses: losses)
    batch, sizes = batch_of(table), []
    looked_up = table.features

    def noted(ids):
        answer = looked_up(ids)
        sizes.extend(graph_bytes())
        return answer

    table.features = noted
    model.fit(batch, np.zeros(16), verbose=0)
    assert sizes
    assert max(sizes) < 200_000


@pytest.mark.parametrize("lengths", ["numbers", "lists of one length"])
def test_what_has_static_shapes_compiles_with_xla(lengths):
    columns = ["item", "color", "price"] if lengths == "numbers" else ["item", "pair", "vector"]
    table = table_of(FRAME).select(columns)
    batch = tf.function(table.features, jit_compile=True)(tf.constant(IDS, tf.int64))
    expected = by_hand(FRAME, IDS)
    assert_same(batch, {name: expected[name] for name in columns})


# --- saving: the table stays behind -------------------------------------------------------------


def trained(items, **options):
    frame = pd.DataFrame(
        {
            "item": np.arange(items) + MIN_ID,
            "color": (np.arange(items) % 5 + 1).astype(np.int32),
            "price": np.linspace(0, 1, items, dtype=np.float32),
        }
    )
    table = table_of(frame, 1)
    tf.keras.utils.set_random_seed(17)
    model = TwoTowers(Tower(MIN_ID + 20), table, **options)
    model.compile("sgd", loss=lambda _, losses: losses, run_eagerly=True)
    model.fit(batch_of(table), np.zeros(16), verbose=0)
    return model, table


def batch_of(table):
    return {name: values.numpy() for name, values in table.features(np.arange(3, 19)).items()}


def saved_bytes(model, folder):
    model.save(str(folder), save_format="tf")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.keras2
@pytest.mark.parametrize("careless", [False, True])
def test_a_saved_model_does_not_grow_with_the_table(careless, tmp_path, monkeypatch):
    """The file has no copy of the table, even if the training call always looks the table up."""
    small, _ = trained(20, careless=careless)
    large, _ = trained(1_000_000, careless=careless)
    size = saved_bytes(small, tmp_path / "small")
    assert abs(saved_bytes(large, tmp_path / "large") - size) < 100_000
    if careless:  # negative control: the tensors that Keras would write
        monkeypatch.setattr(item_features, "is_saving", lambda: False)
        assert saved_bytes(large, tmp_path / "whole") > size + 4_000_000


FRESH = """
from merlin_popsampler import PopSamplerError
from tests.support.item_tables import TwoTowers, frame_of, table_of

folder = "{folder}"
batch = dict(np.load(folder + "/batch.npz"))
vectors, loss = batch.pop("vectors"), batch.pop("loss")
for saved in ("model", "again"):
    model = tf.keras.models.load_model(f"{folder}/{saved}", compile=False)
    assert type(model) is TwoTowers, type(model)
    np.testing.assert_allclose(model(batch), vectors, rtol=1e-6)
    serve = tf.saved_model.load(f"{folder}/{saved}").signatures["serving_default"]
    served, = serve(**{name: tf.constant(values) for name, values in batch.items()}).values()
    np.testing.assert_allclose(served, vectors, rtol=1e-6)
    model.compile("sgd", loss=lambda _, losses: losses, run_eagerly=saved == "model")
    try:
        model.fit(batch, np.zeros(16), verbose=0)
    except PopSamplerError as error:
        assert "set_item_features(table)" in str(error)
    else:
        raise AssertionError("trained without a table")
    if saved == "model":
        model.save(f"{folder}/again", save_format="tf")  # without a table, for the next round
table = table_of(frame_of(20))
model.table = table.select(["item", "color", "price"])
model.compile("sgd", loss=lambda _, losses: losses)  # the step that was refused is half traced
np.testing.assert_allclose(model(batch, training=True), loss, rtol=1e-5)
before = model.tower.item.get_weights()[0].copy()
model.fit(batch, np.zeros(16), verbose=0)
assert np.abs(model.tower.item.get_weights()[0] - before).max() > 0
"""


@pytest.mark.keras2
def test_a_model_loads_serves_and_trains_on_where_the_table_is_not(tmp_path, fresh):
    table = table_of(frame_of(20)).select(["item", "color", "price"])
    model = TwoTowers(Tower(MIN_ID + 20), table)
    model.compile("sgd", loss=lambda _, losses: losses, run_eagerly=True)
    batch = batch_of(table)
    model.fit(batch, np.zeros(16), verbose=0)
    model.save(str(tmp_path / "model"), save_format="tf")
    vectors, loss = model(batch), model(batch, training=True)
    np.savez(tmp_path / "batch.npz", vectors=vectors, loss=loss, **batch)
    fresh.run(FRESH.replace("{folder}", str(tmp_path)))


def test_weights_are_saved_without_the_table(tmp_path):
    """Keras and checkpoints see the tower's weights alone."""
    model, _ = trained(20)
    assert len(model.weights) == 4
    model.save_weights(str(tmp_path / "model.weights.h5"))
    with pytest.raises(PopSamplerError, match="from_dataset"):
        required(None)


# --- Merlin Models' towers ----------------------------------------------------------------------


MERLIN = FRAME.drop(columns=["sizes", "vector"])  # Merlin Models joins no lists of numbers


def merlin_tower(schema, **settings):
    import merlin.models.tf as mm

    table = mm.Embeddings(schema.select_by_tag(Tags.CATEGORICAL), sequence_combiner="mean")
    return mm.Encoder(mm.InputBlockV2(schema, categorical=table, **settings), mm.MLPBlock([8]))


@pytest.mark.merlin_models
@pytest.mark.parametrize(
    ("limit", "eagerly"), [(1 << 20, True), (0, False)], ids=["memory, eager", "files, graph"]
)
def test_a_merlin_tower_gives_the_same_vectors(limit, eagerly, tmp_path):
    """Numbers, lists of both kinds; by a batch inside of the model's step, and by the table."""
    import merlin.models.tf as mm
    from merlin.models.tf.outputs.base import DotProduct

    item_schema = schema_of(MERLIN, domain={"min": 0, "max": 42, "name": "item"})
    user = item_schema["color"].with_name("user").with_tags([Tags.USER_ID, Tags.CATEGORICAL])
    data = Dataset(
        MERLIN.assign(user=np.arange(ITEMS) % 7), cpu=True, schema=Schema([*item_schema, user])
    )
    table = table_of(FRAME, folder=tmp_path, max_bytes=limit)
    pairs = []

    class Output(mm.ContrastiveOutput):
        def call(self, inputs, features=None, **kwargs):
            looked_up = tower(features_of.features(features["item"]))
            pairs.append(looked_up - inputs["candidate"])
            self.add_loss(tf.reduce_max(tf.abs(looked_up - inputs["candidate"])))
            return super().call(inputs, features=features, **kwargs)

    tower = merlin_tower(item_schema)
    features_of = table.select(tower)
    query = mm.Encoder(Schema([user]), mm.MLPBlock([8]))
    output = Output(
        DotProduct(), "in-batch", schema=item_schema.select_by_name("item"), default_metrics_fn=list
    )
    model = mm.TwoTowerModelV2(query, tower, outputs=output)
    model.compile("sgd", run_eagerly=eagerly)
    history = model.fit(mm.Loader(data, batch_size=16), epochs=2, verbose=0).history
    assert pairs
    assert history["regularization_loss"] == [0.0, 0.0]
    batch, _ = next(iter(mm.Loader(Dataset(MERLIN, cpu=True, schema=item_schema), 16)))
    np.testing.assert_array_equal(tower(dict(batch)), tower(features_of.features(batch["item"])))
    others = tower(features_of.features(batch["item"][::-1]))  # negative control
    assert np.abs(others - tower(dict(batch))).max() > 1e-3

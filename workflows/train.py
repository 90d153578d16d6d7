"""Two Merlin models trained with sampled negatives, scored against the popularity baseline.

- `retrieval`: the mean of the item vectors of a session's other items asks for the one left out
  (`RetrievalModelV2` with a table of its own for the items to find).
- `session`: a recurrent network reads the session's last items in order and asks for the next one
  (the items to find share the table of the items read).

Both train through Merlin's Loader on what preprocess.py wrote, with a sampler that configures
itself from the schema, and with the logQ correction. Writes `results.json` under `--output`, and
the trained models beside it.
"""

import argparse
import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")
# Merlin's old imports, the output's unused bias, functions that a saved model does not need.
logging.disable(logging.WARNING)

import merlin.models.tf as mm
import numpy as np
import pandas as pd
import tensorflow as tf
from evaluate import Array, Scorer, evaluate, leave_last_out, popularity_scorer
from merlin.io import Dataset
from merlin.schema import Schema
from progress import bar

from merlin_popsampler import PopSamplerError, PopularityBasedSampler, read_popularity

ITEM = "item_id"
MODELS = ("retrieval", "session")
LAWS = ("auto", "empirical", "log_uniform", "uniform")


class Examples:
    """A transform of Merlin's Loader: one (query, positive) a session, drawn anew in each epoch.

    Ids that stand for no item are dropped, and then sessions that have fewer than two left.

    Args:
      min_id: first id that stands for an item.
      length: how many of the items before the positive make the query; 0: all others do.
      seed: of the positives' places.
    """

    def __init__(self, min_id: int, length: int, seed: int) -> None:
        self.min_id, self.length = min_id, length
        self.generator = tf.random.Generator.from_seed(seed)

    def compute_output_schema(self, schema: Schema) -> Schema:
        return schema

    def __call__(self, inputs: Dict[str, tf.Tensor], targets: Any = None) -> Tuple[Any, tf.Tensor]:
        values = tf.reshape(inputs[f"{ITEM}__values"], [-1])
        sessions = tf.RaggedTensor.from_row_splits(values, inputs[f"{ITEM}__offsets"])
        sessions = tf.ragged.boolean_mask(sessions, sessions >= self.min_id)
        sessions = tf.ragged.boolean_mask(sessions, sessions.row_lengths() > 1)
        lengths = tf.cast(sessions.row_lengths(), tf.int32)
        first = 1 if self.length else 0  # the first item has nothing before it
        uniforms = self.generator.uniform([tf.size(lengths)])
        places = first + tf.cast(uniforms * tf.cast(lengths - first, tf.float32), tf.int32)
        places = tf.minimum(places, lengths - 1)[:, None]
        positions = tf.ragged.range(lengths).with_row_splits_dtype(sessions.row_splits.dtype)
        asked = positions != places
        if self.length:
            asked = (positions < places) & (positions >= places - self.length)
        query = tf.ragged.boolean_mask(sessions, asked)
        positive = tf.gather(sessions, tf.cast(places, tf.int64), batch_dims=1)
        features = {f"{ITEM}__values": query.values, f"{ITEM}__offsets": query.row_splits}
        return features, positive


class Progress(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """One bar for all epochs; Keras's own prints one an epoch."""

    def __init__(self, batches: Any) -> None:
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch: int, logs: Optional[Dict[str, float]] = None) -> None:
        self.batches.set_postfix(loss=f"{(logs or {}).get('loss', np.nan):.3f}", refresh=False)
        self.batches.update()


def build_model(
    name: str, schema: Schema, sampler: PopularityBasedSampler, dim: int
) -> Tuple[Any, Any]:
    """A model of `MODELS`, and a function that returns its item vectors `[cardinality, dim]`."""
    combiner = "mean" if name == "retrieval" else None
    embeddings = mm.Embeddings(schema, dim=dim, sequence_combiner=combiner)
    inputs = mm.InputBlockV2(schema, categorical=embeddings)
    layers = () if name == "retrieval" else (tf.keras.layers.GRU(dim),)
    output = mm.ContrastiveOutput(
        to_call=schema[ITEM] if name == "retrieval" else embeddings[ITEM],
        negative_samplers=sampler,
        logq_sampling_correction=True,
    )
    model = mm.RetrievalModelV2(query=mm.Encoder(inputs, *layers), output=output)

    def item_vectors() -> tf.Tensor:
        if name == "retrieval":
            return tf.transpose(output.to_call.kernel)
        return embeddings[ITEM].table.embeddings

    return model, item_vectors


def model_scorer(model: Any, item_vectors: Any, length: int) -> Scorer:
    """Scores of all ids: the vector of the query's last `length` items (0: all) times theirs."""

    def score(queries: List[Array]) -> Array:
        queries = [ids[-length:] for ids in queries]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in queries])])
        features = {
            f"{ITEM}__values": tf.constant(np.concatenate(queries)),
            f"{ITEM}__offsets": tf.constant(offsets),
        }
        vectors = model._encoder(features)
        scores: Array = tf.matmul(vectors, item_vectors(), transpose_b=True).numpy()
        return scores

    return score


def read_sessions(folder: Path) -> List[Array]:
    """Lists of ids that preprocess.py wrote."""
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        raise PopSamplerError(
            f"Expected parquet files in {folder}. Received: none. "
            "Run workflows/preprocess.py first, with this folder's parent as its --output."
        )
    return [ids for part in parts for ids in pd.read_parquet(part, columns=[ITEM])[ITEM]]


def train(args: argparse.Namespace) -> Dict[str, Dict[str, float]]:
    """Trains and scores the models; returns what `results.json` holds."""
    queries, positives = leave_last_out(read_sessions(args.data / "valid"))
    data = Dataset(str(args.data / "train" / "*.parquet"), engine="parquet")
    data.schema = data.schema.select_by_name([ITEM])
    popularity = read_popularity(data)
    unknown = float(np.mean(positives < popularity.min_id))
    print(
        f"{popularity.domain.size:,} items, ids {popularity.min_id} to {popularity.max_id}; "
        f"{len(positives):,} later sessions, {unknown:.1%} of their positives out of vocabulary"
    )
    baseline = popularity_scorer(popularity.domain)
    results = {
        "popularity": evaluate(baseline, queries, positives, popularity.domain, name="popularity")
    }
    for name in args.models:
        tf.keras.utils.set_random_seed(args.seed)
        sampler = PopularityBasedSampler.from_schema(
            data.schema,
            law=args.law,
            max_num_samples=min(args.num_sampled, popularity.domain.size),
        )
        model, item_vectors = build_model(name, data.schema, sampler, args.dim)
        model.compile(optimizer=tf.keras.optimizers.Adam(args.learning_rate), metrics=[])
        length = args.session_len if name == "session" else 0
        examples = Examples(popularity.min_id, length, args.seed)
        loader = mm.Loader(data, batch_size=args.batch_size, shuffle=True).map(examples)
        epochs = args.epochs if name == "retrieval" else max(1, args.epochs * 4 // 5)
        began = time.perf_counter()
        with bar(total=epochs * len(loader), desc=f"train {name}", unit="batch") as batches:
            model.fit(loader, epochs=epochs, verbose=0, callbacks=[Progress(batches)])
        scorer = model_scorer(model, item_vectors, length)
        results[name] = {
            **evaluate(scorer, queries, positives, popularity.domain, name=name),
            "seconds": round(time.perf_counter() - began, 1),
        }
        model.save(str(args.output / name))
    return results


def as_table(results: Dict[str, Dict[str, float]]) -> str:
    base = results["popularity"]["recall@20"]
    lines = [f"{'':12s}{'recall@20':>10s}{'ndcg@20':>10s}{'times popularity':>18s}"]
    for name, row in results.items():
        times = f"{row['recall@20'] / base:.2f}" if base else "-"
        lines.append(f"{name:12s}{row['recall@20']:>10.4f}{row['ndcg@20']:>10.4f}{times:>18s}")
    return "\n".join(lines)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that preprocess.py wrote")
    add("--output", type=Path, required=True, help="folder for results.json and the models")
    add("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which to train")
    add("--epochs", type=int, default=5, help="the session model trains 4/5 of them [%(default)s]")
    add("--session-len", type=int, default=20, help="items the session model reads [%(default)s]")
    add("--num-sampled", type=int, default=1000, help="negatives of a batch [%(default)s]")
    add("--law", choices=LAWS, default="auto", help="law of the negatives [%(default)s]")
    add("--batch-size", type=int, default=512, help="sessions of a batch [%(default)s]")
    add("--dim", type=int, default=64, help="width of the item vectors [%(default)s]")
    add("--learning-rate", type=float, default=0.01, help="of Adam [%(default)s]")
    add("--seed", type=int, default=17, help="of weights, negatives, positives [%(default)s]")
    args = parser.parse_args(argv)
    for name in ("epochs", "session_len", "num_sampled", "batch_size", "dim"):
        if getattr(args, name) < 1:
            parser.error(f"Expected --{name.replace('_', '-')} of 1 or more.")
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        results = train(args)
    except PopSamplerError as error:
        sys.exit(f"train.py: {error}")
    (args.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(as_table(results))


if __name__ == "__main__":
    main()

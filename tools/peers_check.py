"""Checks the code of one section of docs/recipes.md or docs/serving.md, with its library.

The expected loss of a recipe is a float64 softmax over the positive and the samples, without
accidental hits.
"""

import copy
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def recipe(section, page="recipes.md"):
    """Runs the code of a section, and returns the names that it defines."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (code,) = re.findall(rf"^## {section}\n.*?```py\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(code, f"docs/{page}, {section}", "exec"), names)  # noqa: S102 - our own page
    return names


def expected_loss(queries, true_ids, vectors, sampled, padding, temperature=1.0):
    """Returns the mean loss over the rows that are not padding.

    Args:
      queries: `[*, dim]`.
      true_ids: `[*]` or `[*, 1]`.
      vectors: a function from ids `[n]` to vectors `[n, dim]`.
      sampled: ids and expected counts, as the sampler returns them for `true_ids`.
      padding: the reserved id.
      temperature: divides the scores before the correction.
    """
    ids, true_counts, counts = (part.detach().numpy().reshape(-1) for part in sampled)
    if padding in ids:
        raise SystemExit("The padding was drawn.")
    queries = queries.detach().numpy().astype(np.float64)
    losses = []
    rows = zip(queries.reshape(-1, queries.shape[-1]), true_ids.numpy().reshape(-1), true_counts)
    for query, true_id, true_count in rows:
        if true_id == padding:
            continue
        kept = ids != true_id
        table = vectors(np.array([true_id, *ids[kept]])).astype(np.float64)
        logits = table @ query / temperature - np.log([true_count, *counts[kept]])
        losses.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[0])
    return np.mean(losses)


def check(sampled, step, padding, temperature=1.0):
    """Compares the loss of a step with the one computed from its arguments and its draws.

    Args:
      sampled: a SampledSoftmaxLoss of one sampler.
      step: calls it once, and returns the loss.
      padding: the reserved id.
      temperature: that of the loss.
    """
    import torch

    calls = []
    (sampler,) = sampled.negatives.samplers
    hook = sampled.register_forward_pre_hook(
        lambda _, given: calls.append((given, copy.deepcopy(sampler)))
    )
    loss = step()
    hook.remove()
    (((queries, true_ids, items), same_sampler),) = calls

    def vectors(ids):
        with torch.no_grad():
            ids = torch.from_numpy(ids)
            return (items(ids) if callable(items) else items[ids]).numpy()

    drawn = same_sampler(true_ids)
    expected = expected_loss(queries, true_ids, vectors, drawn, padding, temperature)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


def check_recbole():
    """Compares the loss of a batch, and trains an epoch."""
    names = recipe("RecBole")
    model, batch = names["model"].eval(), next(iter(names["train"]))
    model.sampled.train()  # in evaluation it scores the whole catalog
    check(model.sampled, lambda: model.calculate_loss(batch), padding=0)
    names["trainer"].fit(names["train"], names["valid"], saved=False, show_progress=False)


def check_rectools():
    """Trains an epoch by the recipe, then compares the loss of a batch."""
    model = recipe("RecTools")["model"]
    module = model.lightning_model.train()
    batch = next(iter(model.data_preparator.get_dataloader_train()))
    check(module.sampled, lambda: module._calc_custom_loss(batch, 0), padding=0)  # noqa: SLF001


def check_replay():
    """Compares the loss of a batch in which some positions do not count."""
    names = recipe("RePlay")
    model, batch, padding = names["model"].train(), names["batch"], names["size"]
    batch["target_padding_mask"][::2, :5] = False
    check(model.loss.sampled, lambda: model(**batch)["loss"], padding)


def check_transformers4rec():
    """Compares the loss of a batch with the inputs and the draws of the module that scores."""
    import torch

    names = recipe("Transformers4Rec")
    scorer, calls, drawn = names["task"].pre.module, [], []
    scorer.register_forward_pre_hook(lambda _, given: calls.append(given[0]))
    draw = scorer.sampler.sample
    scorer.sampler.sample = lambda labels: drawn.append((labels, draw(labels))) or drawn[-1][1]
    batch = {"item_id": torch.from_numpy(names["sessions"])}
    loss = names["model"](batch, training=True)["loss"]
    ((true_ids, sampled),) = drawn
    table = scorer.item_embedding_table.weight.detach().numpy()
    expected = expected_loss(calls[0], true_ids, table.__getitem__, sampled, padding=0)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-4)


def check_hstu():
    """Compares the loss of a batch of unequal lengths, as HSTU's training loop computes it."""
    import torch

    names = recipe("HSTU")
    ids = torch.from_numpy(names["sequences"])
    lengths = torch.arange(60) % 11 + 1
    ids[torch.arange(12) > lengths[:, None]] = 0
    inputs = names["embeddings"].get_item_embeddings(ids)
    check(
        names["ar_loss"].sampled,
        lambda: names["ar_loss"](
            lengths=lengths,
            output_embeddings=inputs[:, :-1] * 10,
            supervision_ids=ids[:, 1:],
            supervision_embeddings=inputs[:, 1:],
            supervision_weights=(ids[:, 1:] != 0).float(),
            negatives_sampler=names["negatives"],
        )[0],
        padding=0,
        temperature=0.05,
    )


def check_faiss():
    """Checks that 90 % or more of the ids are among the exact best ones, in descending order."""
    names = recipe("Use an approximate index", "serving.md")
    scores = names["queries"].astype(np.float64) @ names["vectors"].T.astype(np.float64)
    np.put_along_axis(scores, names["seen"], -np.inf, axis=1)
    scores[:, :3] = -np.inf
    for row, ids in zip(scores, names["ids"]):
        best = np.argsort(-row)[: names["k"]]
        found = row[ids]
        if np.isin(ids, best).mean() < 0.9 or not (np.diff(found) <= 0).all():
            raise SystemExit(f"Expected {best}. Found {ids}.")
        if len(ids) < names["k"] or not np.isfinite(found).all():
            raise SystemExit(f"Items that were seen, or too few: {ids}.")
    if names["index"].search(names["vectors"], 5)[1].min() < 3:
        raise SystemExit("The index holds reserved ids.")


def check_tensorflow(section, module):
    """Runs the test of the section, which is skipped if the library is missing."""
    sys.path.append(str(ROOT))  # for the tests only; the package itself is the installed one
    from tests.integration.test_recipes import test_libraries

    for unique in (True, False):
        test_libraries(section, module, unique)


CHECKS = {
    "TensorFlow Recommenders": lambda: check_tensorflow(
        "TensorFlow Recommenders", "tensorflow_recommenders"
    ),
    "Keras Recommenders": lambda: check_tensorflow("Keras Recommenders", "keras_rs"),
    "RecBole": check_recbole,
    "RecTools": check_rectools,
    "RePlay": check_replay,
    "Transformers4Rec": check_transformers4rec,
    "HSTU": check_hstu,
    "Faiss": check_faiss,
}

CHECKS[sys.argv[1]]()

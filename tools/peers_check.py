"""Checks the recipe of one section of docs/recipes.md, where its library is installed."""

import copy
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def check_recbole():
    """Compares the loss of a batch with one in float64, and trains an epoch."""
    (code,) = re.findall(r"^## RecBole\n.*?```py\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(code, "docs/recipes.md", "exec"), names)  # noqa: S102 - our own page
    model, batch = names["model"].eval(), next(iter(names["train"]))
    (sampler,) = model.sampled.negatives.samplers
    queries = model.forward(batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN]).detach().numpy()
    table = model.item_embedding.weight.detach().numpy().astype(np.float64)
    true_ids = batch[model.POS_ITEM_ID]
    state = copy.deepcopy(sampler.state_dict())
    sampled_ids, true_counts, counts = (part.numpy() for part in sampler(true_ids))
    sampler.load_state_dict(state)
    losses = []
    for query, true_id, true_count in zip(queries, true_ids.numpy(), true_counts):
        kept = sampled_ids != true_id
        logits = table[[true_id, *sampled_ids[kept]]] @ query
        logits -= np.log([true_count, *counts[kept]])
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    model.sampled.train()  # in evaluation it scores the whole catalog
    np.testing.assert_allclose(model.calculate_loss(batch).item(), np.mean(losses), rtol=1e-5)
    if 0 in sampled_ids:
        raise SystemExit("The padding was drawn.")
    names["trainer"].fit(names["train"], names["valid"], saved=False, show_progress=False)


def main(section):
    """Runs the check of a section."""
    if section == "RecBole":
        check_recbole()
        return
    sys.path.append(str(ROOT))  # for the tests; the package is the installed one
    from tests.integration.test_recipes import test_libraries

    module = {
        "TensorFlow Recommenders": "tensorflow_recommenders",
        "Keras Recommenders": "keras_rs",
    }
    for unique in (True, False):
        test_libraries(section, module[section], unique)


main(sys.argv[1])

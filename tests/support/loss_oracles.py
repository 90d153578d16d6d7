"""Computes losses and ranks by loops in NumPy, for small catalogs."""

import numpy as np


def losses_by_hand(
    query,
    vectors,
    true_ids,
    sampled,
    count_of,
    temperature,
    excluded,
    correct,
    strength=1.0,
    hard=None,
):
    """Computes losses by loops over rows and samples, in float64, for the items 3 to 14.

    Args:
      excluded: a list of ids for each row.
      hard: a list of hard negatives for each row.
    """
    count_of = np.asarray(count_of) ** strength
    losses = []
    for row, true_id in enumerate(true_ids):
        score = query[row] @ vectors[true_id] / temperature
        true_logit = score - np.log(count_of[true_id]) if correct else score
        total = np.exp(true_logit)
        certain = set() if hard is None else set(hard[row])
        items = [item for item in sampled if item not in certain and 3 <= item <= 14]
        drawn = [(item, count_of[item]) for item in items]
        for item, count in [*drawn, *((item, 1.0) for item in certain)]:
            if item != true_id and item not in excluded[row] and 3 <= item <= 14:
                total += np.exp(query[row] @ vectors[item] / temperature) / count
        losses.append(np.log(total) - true_logit)
    return np.array(losses)


def ranked_by_hand(query, vectors, true_ids, temperature, excluded):
    """Computes loss and rank among the items 3 to 102, in float64; ties and NaN count."""
    losses, ranks = [], []
    for row, true_id in enumerate(true_ids):
        score = {item: query[row] @ vectors[item] / temperature for item in range(3, 103)}
        others = [score[d] for d in score if d != true_id and d not in excluded[row]]
        total = np.logaddexp.reduce([score[true_id], *others])
        losses.append(total - score[true_id])
        ranks.append(sum(not other < score[true_id] for other in others))
    return losses, ranks


def full_softmax(query, vectors, true_ids, temperature=1.0, excluded=None, weights=1.0, first=3):
    """Computes the full softmax in float64: losses, and gradients of their weighted sum.

    Args:
      vectors: of the ids from 0 on; those from `first` on are items.
      excluded: a list of ids for each row.
    """
    query, vectors = np.float64(query), np.float64(vectors)
    true_ids, rows = np.asarray(true_ids), np.arange(len(query))
    scores = query @ vectors.T / temperature
    scores[:, :first] = -np.inf
    for row, left_out in enumerate(excluded or []):
        for item in left_out:
            if first <= item < len(vectors) and item != true_ids[row]:
                scores[row, item] = -np.inf
    total = np.logaddexp.reduce(scores, 1)
    slopes = np.exp(scores - total[:, None])
    slopes[rows, true_ids] -= 1.0
    slopes *= np.broadcast_to(weights, len(query))[:, None] / temperature
    return total - scores[rows, true_ids], slopes @ vectors, slopes.T @ query

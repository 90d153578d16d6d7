"""Computes averages of weights from the weights after every batch."""

from stopping import AVERAGED, newest_share


def averages_after(passed, batches):
    """Returns the average after each epoch, from a weight after each batch."""
    average, updates, found = 0.0, 0, []
    for start in range(0, len(passed), batches):
        epoch = passed[start : start + batches]
        for weight in [*epoch[AVERAGED - 1 : -1 : AVERAGED], epoch[-1]]:
            average += newest_share(updates) * (weight - average)
            updates += 1
        found.append(average)
    return found

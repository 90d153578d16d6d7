"""Measures the processor time of training steps with and without a SamplingMonitor.

Both train in turns, `every` steps each, with 1,024 rows, 1,000 samples of 100,000 items, and
vectors of 64 numbers. `--framework torch` runs in the environment of PyTorch. Writes
monitor-FRAMEWORK.md under `--output`.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, Callable, List, Optional

from version_cases import DIM, batch, sampler

from merlin_popsampler.core.sampling_numbers import EVERY

Steps = Callable[[], Any]
"""Runs `EVERY` training steps."""


def keras_steps(monitored: bool) -> Steps:
    import tensorflow as tf

    from merlin_popsampler.tf import PopularityBasedSampler, SampledSoftmax, SamplingMonitor

    queries, ids, table = batch()
    layer = SampledSoftmax(sampler(PopularityBasedSampler))
    embedding = tf.keras.layers.Embedding(len(table), DIM, weights=[table])
    given, true = tf.keras.Input([DIM]), tf.keras.Input([], dtype="int64")
    model = tf.keras.Model([given, true], layer(tf.keras.layers.Dense(DIM)(given), true, embedding))
    model.compile("sgd", loss=lambda _, losses: losses)
    callbacks = [SamplingMonitor(layer)] if monitored else []
    repeated = tf.data.Dataset.from_tensors(((queries, ids), ids)).repeat(EVERY)
    return lambda: model.fit(repeated, verbose=0, callbacks=callbacks)


def torch_steps(monitored: bool) -> Steps:
    import torch

    from merlin_popsampler.torch import (
        PopularityBasedSampler,
        SampledSoftmaxLoss,
        SamplingMonitor,
    )

    torch.set_num_threads(1)
    queries, ids, table = map(torch.tensor, batch())
    embedding = torch.nn.Embedding.from_pretrained(table, freeze=False, sparse=True)
    tower = torch.nn.Linear(DIM, DIM)
    loss = SampledSoftmaxLoss(sampler(PopularityBasedSampler))
    monitor = SamplingMonitor(loss) if monitored else None
    optimizer = torch.optim.SGD([*tower.parameters(), embedding.weight], 0.01)

    def steps() -> None:
        for _ in range(EVERY):
            optimizer.zero_grad()
            loss(tower(queries), ids, embedding).backward()
            optimizer.step()
            if monitor is not None:
                monitor.step()

    return steps


FRAMEWORKS = {"keras": keras_steps, "torch": torch_steps}


def measure(steps: Callable[[bool], Steps], rounds: int) -> List[List[float]]:
    """Returns processor seconds of each turn: a list without and a list with a monitor."""
    cases = [steps(False), steps(True)]
    for case in cases:
        case()
    seconds: List[List[float]] = [[], []]
    for turn in range(rounds):
        for place in (0, 1) if turn % 2 else (1, 0):
            began = time.process_time()
            cases[place]()
            seconds[place].append(time.process_time() - began)
    return seconds


def main(argv: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--output", type=Path, default=Path("out/benchmarks"), help="folder [%(default)s]")
    add("--framework", choices=FRAMEWORKS, default="keras", help="[%(default)s]")
    add("--rounds", type=int, default=9, help="[%(default)s]")
    args = parser.parse_args(argv)
    without, monitored = measure(FRAMEWORKS[args.framework], args.rounds)
    ratios = sorted(one / other for one, other in zip(monitored, without))
    text = (
        f"{args.framework}: a step takes {1e3 * statistics.median(without) / EVERY:.2f} ms; with a "
        f"monitor {statistics.median(ratios):.3f} times that, {ratios[0]:.3f} to {ratios[-1]:.3f}."
    )
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / f"monitor-{args.framework}.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

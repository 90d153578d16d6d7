"""Compares negatives, corrected and not, by recall on popular and on rare items.

Each row of the table is a way of training: the full softmax, or negatives of one kind at one
strength of the logQ correction. All rows of a data set train the same model, from the same initial
weights and in the same order of batches for a seed, until the recall of the held-out queries no
longer rises. Popularity and item kNN, which need no training, stand first.

Folders of preprocess.py train the retrieval model of train_torch.py on sessions. Text files with
lines of `user item item item` train a SASRec and leave each user's last item out. Every item of the
catalog is ranked, but for those of the query.

Each run is a process of its own and writes one file under `--output`/runs. A run whose file exists
is not made again, so an interrupted comparison goes on where it stopped, and several commands with
other seeds or rows may share a folder. The table has a line for each run that is still to be made.

Writes `compare_negatives.json`, `.md` and `.png` under `--output`.
"""

import argparse
import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence

warnings.filterwarnings("ignore")

from comparison_data import check_names, in_file_name, name_of
from comparison_report import write_report
from flags import comparison_parser, made, whole

from merlin_popsampler import PopSamplerError

BASELINES = ("popularity", "item kNN")
K = 10
"""Length of the recommended list."""
SETTINGS = ("epochs", "minutes", "batch_size", "dim", "learning_rate", "threads")
"""Flags that the runs of one folder have in common."""


class Run(NamedTuple):
    """Names one run: a row of the table on one data set.

    Attributes:
      data: folder or file.
      row: a name in `negative_rows.TRAINED`, or in `BASELINES`.
      samples: negatives of a batch; 0 for rows that they do not change.
      seed: None for rows without training.
    """

    data: Path
    row: str
    samples: int
    seed: Optional[int]

    @property
    def name(self) -> str:
        """Returns a title of this run."""
        samples = f", K = {self.samples}" if self.samples else ""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{name_of(self.data)}: {self.row}{samples}{seed}"

    def file(self, output: Path) -> Path:
        """Returns the file of the results of this run."""
        return output / "runs" / f"{in_file_name(self.name)}.json"


def runs_of(args: argparse.Namespace) -> Iterator[Run]:
    """Yields the runs that the flags ask for."""
    from negative_rows import WITHOUT_SAMPLES

    for data in args.data:
        for row in BASELINES:
            yield Run(data, row, 0, None)
        for seed in range(args.seed, args.seed + args.seeds):
            for row in args.rows:
                for samples in [0] if row in WITHOUT_SAMPLES else args.num_sampled:
                    yield Run(data, row, samples, seed)


def make(run: Run, options: argparse.Namespace) -> Dict[str, Any]:
    """Trains and measures one run, in a process of its own."""
    import torch
    from baselines import item_knn_scorer, popularity_scorer
    from comparison_data import read_data
    from comparison_training import cross_entropy, train
    from evaluate import bands_of, gains_and_report
    from models_torch import model_scorer

    torch.set_num_threads(options.threads)
    data = read_data(run.data)
    domain = data.popularity.domain
    found: Dict[str, Any] = {}
    before = memory_mb("VmRSS")
    if run.seed is None:
        is_knn = run.row == "item kNN"
        score = item_knn_scorer(data.train, domain) if is_knn else popularity_scorer(domain)
    else:
        model, found = train(data, run.row, run.samples, run.seed, options)
        found["peak_mb"] = memory_mb("VmHWM") - before
        found["cross_entropy"] = cross_entropy(model, data)
        score = model_scorer(model)
    bands = bands_of(data.train, domain)
    gains, reported = gains_and_report(score, *data.test, domain, bands, K, name=run.row)
    return {
        **run._asdict(),
        "data": data.name,
        "path": path_of(run),
        "settings": settings_of(run, options),
        **reported,
        "items": domain.size,
        "sequences": len(data.train),
        **found,
        "gains": [round(float(gain), 4) for gain in gains],
    }


def settings_of(run: Run, args: argparse.Namespace) -> Dict[str, Any]:
    """Returns the flags that change the result of a run."""
    return {} if run.seed is None else {name: getattr(args, name) for name in SETTINGS}


def path_of(run: Run) -> str:
    """Returns the path of the data of a run, which tells data sets of one name apart."""
    return str(run.data.resolve())


def check_settings(run: Run, args: argparse.Namespace) -> None:
    """Raises an error if a folder holds a run of other flags, which the table would mix in."""
    file, wanted = run.file(args.output), {"path": path_of(run), **settings_of(run, args)}
    found = json.loads(file.read_text())
    received = {"path": found.get("path"), **found["settings"]}
    if received != wanted:
        raise PopSamplerError(
            f"Expected a run with {wanted} in {file}. Received: {received}. "
            "Pass another --output, or the flags of that run, or remove the file."
        )


def memory_mb(field: str) -> int:
    """Returns a field of Linux's status of this process, such as VmHWM, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return round(int(line.split()[1]) / 1024)
    raise LookupError(field)


def write_run(run: Run, args: argparse.Namespace) -> str:
    """Runs in a new process, writes its file, whole or not at all, and returns the name."""
    file = run.file(args.output)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(make, run, args).result()
    # Reports of other jobs read all files *.json, so only a complete file gets this suffix.
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(found) + "\n")
    partial.replace(file)
    return run.name


def compare(args: argparse.Namespace) -> None:
    """Executes the runs that have no file yet, and writes the report after each."""
    check_names(args.data)
    made(args.output / "runs")
    asked = list(dict.fromkeys(runs_of(args)))
    todo = []
    for run in asked:
        if run.file(args.output).exists():
            check_settings(run, args)
        else:
            todo.append(run)
    with ThreadPoolExecutor(args.jobs) as jobs:
        making = [jobs.submit(write_run, run, args) for run in todo]
        try:
            for number, job in enumerate(as_completed(making), 1):
                print(f"made {number} of {len(todo)}: {job.result()}", flush=True)
                report(asked, args.output)
        except BaseException:
            for job in making:
                job.cancel()
            raise
    print(report(asked, args.output))


def report(asked: Sequence[Run], output: Path) -> str:
    """Writes the report of the completed runs, and returns its table."""
    from negative_rows import TRAINED

    missing = [run.name for run in asked if not run.file(output).exists()]
    return write_report(output, [*BASELINES, *TRAINED], missing)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    from negative_rows import SMALL, TRAINED

    parser = comparison_parser(__doc__)
    add = parser.add_argument
    add(
        "--rows",
        nargs="+",
        choices=list(TRAINED),
        default=SMALL,
        help="ways of training to compare %(default)s",
    )
    add(
        "--num-sampled",
        type=whole(2),
        nargs="+",
        default=[256],
        help="negatives of a batch %(default)s",
    )
    add("--seeds", type=whole(1), default=3, help="number of seeds [%(default)s]")
    add("--epochs", type=whole(1), default=1000, help="limit for each run [%(default)s]")
    add("--jobs", type=whole(1), default=1, help="runs at the same time [%(default)s]")
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    try:
        compare(parse_args(argv))
    except PopSamplerError as error:
        sys.exit(f"compare_negatives.py: {error}")


if __name__ == "__main__":
    main()

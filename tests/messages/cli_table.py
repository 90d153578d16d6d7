"""Messages of `cli` and their advice, followed."""

from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.cli.compare import drift
from merlin_popsampler.cli.inspect import resolve_num_sampled
from merlin_popsampler.cli.pictures import plot
from tests.messages.things import data
from tests.support.messages import Entry
from tests.support.workflow_helpers import saved


def compared(folder, new_keys):
    sides = saved(["tea", "tea", "jam"], folder / "a"), saved(new_keys, folder / "b")
    return drift(*(read_column_report(str(side / "fit")) for side in sides))


TABLE = {
    "cli.inspect": [
        Entry(
            "Pass fewer, or leave it out",
            lambda _: resolve_num_sampled(4, 3),
            [lambda _: resolve_num_sampled(3, 3), lambda _: resolve_num_sampled(None, 3)],
        ),
    ],
    "cli.compare": [
        Entry(
            "Expected keys of one kind on both sides",
            lambda folder: compared(folder, [7, 7, 8]),
            [lambda folder: compared(folder, ["tea", "rye"])],
        ),
    ],
    "cli.pictures": [
        Entry(
            "Expected a picture's path",
            lambda folder: plot(read_column_report(data(folder)), str(folder / "out.nope")),
            [lambda folder: plot(read_column_report(data(folder)), str(folder / "out.png"))],
        ),
    ],
}

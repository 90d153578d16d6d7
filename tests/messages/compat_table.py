"""Messages of `compat`, which need versions that one environment cannot have together."""

from tests.support.messages import Entry

TRIED = "tests/compat follows it in fresh processes and with versions that are made up"
TABLE = {
    "compat.frames": [
        Entry("before the first import of dask.dataframe", excepted=TRIED),
    ],
    "compat.keras2": [
        Entry("Expected the package tf_keras", excepted=TRIED),
        Entry("before the first import of TensorFlow", excepted=TRIED),
    ],
}

#!/usr/bin/env bash
# Guess:    learned_unigram_candidate_sampler learns the items' frequencies over the whole training. One call in the model
#           has one distribution, and a checkpoint holds it, or else it cannot be resumed.
# Happens:  the counts live in the graph's kernel. A batch of another size is another graph that begins with nothing learned, and no
#           checkpoint or SavedModel has them. Calls without a graph share one set of counts, whoever makes them.
#           Evaluation teaches as well: each call counts its true classes.
# Versions: TensorFlow 2.20.0.
# Matters:  the last, smaller batch of an epoch draws from another distribution than the rest. After a restart, negatives
#           are uniform again, and the loss jumps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.20.0 keras==3.12.0 numpy==1.26.4
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
cd "$folder"
venv/bin/python - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import sys

import tensorflow as tf


class Sampler(tf.Module):
    """Returns the expected count of the batch's first item among 100 draws."""

    @tf.function(reduce_retracing=False)
    def expected(self, ids):
        return tf.random.learned_unigram_candidate_sampler(ids, 1, 100, False, 1_000)[1][0, 0]


def batch(item, rows):
    return tf.fill([rows, 1], tf.constant(item, tf.int64))


print(f"TensorFlow {tf.__version__}: 1,000 items, 100 draws; expected count of item 7 before it was seen: 0.10")
sampler = Sampler()
for _ in range(10):
    learned = float(sampler.expected(batch(7, 64)))
print(f"after 10 batches of 64 rows with item 7 alone: {learned:.2f}")
last = float(sampler.expected(batch(7, 63)))
print(f"the next batch, of 63 rows: {last:.2f}")
tf.train.Checkpoint(sampler=sampler).save("checkpoint")
restored = Sampler()
tf.train.Checkpoint(sampler=restored).restore(tf.train.latest_checkpoint(".")).assert_consumed()
resumed = float(restored.expected(batch(7, 64)))
print(f"restored from a checkpoint: {resumed:.2f}")
tf.saved_model.save(sampler, "model", sampler.expected.get_concrete_function(batch(7, 64)))
loaded = float(tf.saved_model.load("model").signatures["serving_default"](batch(7, 64))["output_0"])
print(f"loaded from a SavedModel: {loaded:.2f}")
first, second = Sampler(), Sampler()
tf.config.run_functions_eagerly(True)
for _ in range(10):
    first.expected(batch(7, 64))
other = float(second.expected(batch(7, 64)))
print(f"without graphs, a second sampler after 10 batches of the first: {other:.2f}")
as_found = learned > 30 and other > 30 and all(abs(fresh - 0.1) < 1e-3 for fresh in (last, resumed, loaded))
sys.exit(0 if as_found else "The behaviour has changed.")
PY

#!/usr/bin/env bash
# Guess:    the online store holds the newest value of a feature, by its event time: an older row does not replace it.
# Happens:  the last write wins, whatever its time. A late event, an older row of the same push, and materialize over an
#           earlier time each replace a newer value.
# Versions: feast 0.67.0 with the online store "sqlite", pandas 2.3.3.
# Matters:  late events and backfills are the ordinary case. Served counts, prices and last items of users go back in time,
#           while the training data, which is joined by event time, has the right ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check feast==0.67.0 pandas==2.3.3 numpy==2.4.6 pyarrow==26.0.1
cd "$folder"
cat > feature_store.yaml <<'YAML'
project: items
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
YAML
FEAST_USAGE=False venv/bin/python -W ignore - <<'PY'
import contextlib
import io
import sys
from datetime import timedelta
from importlib.metadata import version

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Int64

noon, hour = pd.Timestamp("2024-01-01 12:00", tz="UTC"), pd.Timedelta(hours=1)


def clicks(*rows):
    """Returns a frame of clicks on item 1, from pairs of a count and the hours after noon."""
    return pd.DataFrame([{"item": 1, "clicks": count, "event_timestamp": noon + late * hour} for count, late in rows])


clicks((10, 0)).to_parquet("clicks.parquet")
item = Entity(name="item", join_keys=["item"], value_type=ValueType.INT64)
batches = FileSource(name="batches", path="clicks.parquet", timestamp_field="event_timestamp")
fields = [Field(name="clicks", dtype=Int64)]
source = PushSource(name="events", batch_source=batches)
view = FeatureView(name="view", entities=[item], ttl=timedelta(days=0), schema=fields, source=source)
store = FeatureStore(".")
store.apply([item, view])
print(f"feast {version('feast')}: clicks of one item in the online store")
found = []


def served(what):
    found.append(store.get_online_features(["view:clicks"], [{"item": 1}]).to_dict()["clicks"][0])
    print(f"{what}: {found[-1]}")


store.push("events", clicks((30, 2)))
served("30 clicks of 14:00 are pushed")
store.push("events", clicks((20, 1)))
served("then 20 clicks of 13:00")
store.push("events", clicks((50, 4), (40, 3)))
served("then 50 clicks of 16:00 and 40 of 15:00 in one push")
with contextlib.redirect_stdout(io.StringIO()):
    store.materialize((noon - hour).to_pydatetime(), (noon + hour).to_pydatetime())
served("then materialize up to 13:00, where the file has 10 clicks of 12:00")
sys.exit(0 if found == [30, 20, 40, 10] else "The behaviour has changed.")
PY

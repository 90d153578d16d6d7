#!/usr/bin/env bash
# Guess:    get_historical_features joins features to the rows that it is given: one row for each, in their order. Where the
#           item has no features at that time, they are missing.
# Happens:  of rows with the same item and time, the last one is kept, whoever the user is. A row is left out if the first
#           features of its item are later, or the last ones are older than the ttl; it is kept if the item is unknown.
#           Other rows come back sorted by time. Three of six training rows are left, without a warning.
# Versions: feast 0.67.0 with its default offline store "dask", pandas 2.3.3.
# Matters:  an item that two users met in the same second loses one of them, so the most popular items lose most events.
#           A negative of the same second can displace a positive. Join by a number of the row, and count the rows after.
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
import sys
from datetime import timedelta
from importlib.metadata import version

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

noon, hour = pd.Timestamp("2024-01-01 12:00", tz="UTC"), pd.Timedelta(hours=1)
pd.DataFrame({"item": [1], "clicks": [10], "event_timestamp": [noon]}).to_parquet("clicks.parquet")
item = Entity(name="item", join_keys=["item"], value_type=ValueType.INT64)
source = FileSource(name="clicks", path="clicks.parquet", timestamp_field="event_timestamp")
fields = [Field(name="clicks", dtype=Int64)]
view = FeatureView(name="view", entities=[item], ttl=timedelta(days=1), schema=fields, source=source)
store = FeatureStore(".")
store.apply([item, view])
events = pd.DataFrame(
    {
        "user": [1, 2, 3, 4, 5, 6],
        "item": [1, 1, 1, 1, 1, 9],
        "event_timestamp": [noon + hour, noon + hour, noon - hour, noon + 24 * hour, noon + 25 * hour, noon],
        "label": [1, 0, 1, 1, 1, 1],
    }
)
joined = store.get_historical_features(events, ["view:clicks"]).to_df()
print(f"feast {version('feast')}: item 1 has 10 clicks at {noon}, for a day; {len(events)} rows:")
print(events.to_string(index=False))
print(f"{len(joined)} rows with features:")
print(joined.to_string(index=False))
found = list(zip(joined["user"], joined["label"], joined["clicks"].fillna(-1)))
sys.exit(0 if found == [(6, 1, -1), (2, 0, 10), (4, 1, 10)] else "The behaviour has changed.")
PY

#!/usr/bin/env bash
# Guess:    tensorflow-metadata runs with every protobuf that its requirements accept, "protobuf>=4.25.2". An environment for
#           which pip check reports nothing can read and write schemas.
# Happens:  release 1.21.0 is generated for protobuf 6.31. With 4.25 its modules raise ImportError, and with 5.29 VersionError,
#           while pip check finds no broken requirement. Release 1.17.3 runs with 4.25, 5.29 and 6.33.
# Versions: tensorflow-metadata 1.21.0 and 1.17.3, protobuf 4.25.9, 5.29.6 and 6.33.0.
# Matters:  merlin-core takes any release, and TensorFlow before 2.20 holds protobuf below 6. A fresh NVTabular installs,
#           fits for hours, and fails when it writes the schema. Pin tensorflow-metadata<1.18 next to such a TensorFlow.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
cd "$folder"
found=""
for release in 1.21.0 1.17.3; do
  for protobuf in 4.25.9 5.29.6 6.33.0; do
    venv/bin/pip install --quiet --disable-pip-version-check "tensorflow-metadata==$release" "protobuf==$protobuf" \
      absl-py==2.3.1 googleapis-common-protos==1.70.0
    checked=$(venv/bin/pip check --disable-pip-version-check)
    result=$({ venv/bin/python -c "from tensorflow_metadata.proto.v0 import schema_pb2; print('runs')" 2>&1 || true; } | tail -n 1 |
      sed -E 's/^(.*\.)?([A-Za-z]*Error):.*/\2/')
    echo "tensorflow-metadata $release, protobuf $protobuf: $result; pip check: $checked"
    found+="$result "
    [[ $checked == "No broken requirements found." ]] || found+="(refused) "
  done
done
[[ $found == "ImportError VersionError runs runs runs runs " ]] || { echo "The behaviour has changed."; exit 1; }

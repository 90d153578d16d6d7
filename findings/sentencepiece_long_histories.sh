#!/usr/bin/env bash
# Guess:    SentencePiece with model_type "word" counts all items of all lines, and numbers them by frequency.
# Happens:  a line of more than 4,192 bytes is left out as a whole. Only the log says so. With 20 heavy users out of 520,
#           the item that has most events of all is unknown. max_sentence_length raises the limit.
# Versions: sentencepiece 0.2.2.
# Matters:  one line for each user is the usual form, and 4,192 bytes are some 500 items. Heavy users have a large part of all events. Their
#           items get no id, and the others an order that only light users made. Tests with short histories see nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sentencepiece==0.2.2
cd "$folder"
venv/bin/python - <<'PY'
import random
import sys
from collections import Counter
from importlib.metadata import version

import sentencepiece

print(f"sentencepiece {version('sentencepiece')}")
random.seed(17)
light = [[f"i{random.randint(1, 100)}" for _ in range(20)] for _ in range(500)]
heavy = [[f"i{random.choice((random.randint(1, 100), 777))}" for _ in range(2_000)] for _ in range(20)]
lines = [" ".join(history) for history in light + heavy]
counts = Counter(item for line in lines for item in line.split())
share = sum(map(len, heavy)) / counts.total()
(most, events) = counts.most_common(1)[0]
print(f"{len(lines)} users, {len(heavy)} of them with 2000 events, {share:.0%} of all; {most} has {events} events")
found = {}
for limit in (None, 1_000_000):
    options = {"max_sentence_length": limit} if limit else {}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix="items", model_type="word", vocab_size=1_000, hard_vocab_limit=False, minloglevel=2, **options
    )
    model = sentencepiece.SentencePieceProcessor("items.model")
    order = [model.id_to_piece(number).lstrip("▁") for number in range(3, model.vocab_size())]
    unknown = [item for item in counts if model.piece_to_id(f"▁{item}") == model.unk_id()]
    found[limit] = order[0], unknown
    print(f"max_sentence_length {limit or 'by default'}: {len(order)} items, first {order[:3]}, unknown {unknown}")
as_found = found[None][1] == [most] and found[1_000_000] == (most, [])
sys.exit(0 if as_found else "The behaviour has changed.")
PY

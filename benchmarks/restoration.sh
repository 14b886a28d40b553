#!/bin/sh
# Restoration on kodak24 through every suite, and on two sets of real noisy pairs. Needs the research data (see README.md).
#   benchmarks/restoration.sh [DATA]      DATA: the folder with photos_dev/ and real_dev/; else ../shared/data beside the checkout
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=${1:-$here/../../shared/data}
results=$here/results

"$here/../run" evaluate --task restore --data "$data/photos_dev/kodak24" \
    --suites clean,seen,unseen-severity --severities 1,3,5 --out "$results/restoration-kodak24.jsonl"
for set in polyu50 cc15; do
    "$here/../run" evaluate --task restore --pairs "$data/real_dev/$set" --out "$results/restoration-$set.jsonl"
done

#!/bin/sh
# Restoration on kodak24 through every suite, and on two sets of real noisy pairs. Needs the research data (see README.md).
#   benchmarks/restoration.sh WEIGHTS [DATA]      DATA: the folder with photos_dev/ and real_dev/; else ../shared/data beside the checkout
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
weights=${1:?Which weights: small, tiny, small-proof, tiny-proof?}
data=${2:-$here/../../shared/data}
results=$here/results/restoration-$weights

"$here/../run" evaluate --task restore --weights "$weights" --data "$data/photos_dev/kodak24" \
    --suites clean,seen,unseen-severity --severities 1,3,5 --out "$results-kodak24.jsonl"
for set in polyu50 cc15; do
    "$here/../run" evaluate --task restore --weights "$weights" --pairs "$data/real_dev/$set" --out "$results-$set.jsonl"
done

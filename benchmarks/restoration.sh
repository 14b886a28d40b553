#!/bin/sh
# Restoration on kodak24 and on two sets of real noisy pairs, by the weights for proof and by those for use. Needs the
# research data (see README.md).
#   benchmarks/restoration.sh [DATA]      DATA: the folder with photos_dev/ and real_dev/; else ../shared/data beside the checkout
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
data=${1:-$here/../../shared/data}

measure() { # WEIGHTS NAME SUITES TONE
    "$here/../run" evaluate --task restore --weights "$1" --data "$data/photos_dev/kodak24" \
        --suites "$3" --severities 1,3,5 --tone "$4" --out "$here/results/$2-kodak24.jsonl"
    for set in polyu50 cc15; do
        "$here/../run" evaluate --task restore --weights "$1" --pairs "$data/real_dev/$set" \
            --out "$here/results/$2-$set.jsonl"
    done
}

measure tiny-proof restoration clean,seen,unseen-severity repair
measure tiny use clean,seen,everyday,wide keep

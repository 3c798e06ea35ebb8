#!/usr/bin/env bash
# Structure factors, a contact sheet and all shots of ensemble.yaml, in the folder that is given.
#   run.sh DIRECTORY [SHOTS]
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nablabragg=${NABLABRAGG:-nablabragg}
mkdir -p "${1:?run.sh DIRECTORY [SHOTS]}"
cd "$1"

"$nablabragg" fcalc "$here/../ubiquitin/1ubq.pdb" -dmin 1.8 -o all.hkl
grep -v '^0 0 0 ' all.hkl >ubiquitin.hkl # a beamstop takes the direct beam
sed "s/^shots: .*/shots: ${2:-200}/" "$here/ensemble.yaml" >ensemble.yaml
"$nablabragg" ensemble ensemble.yaml --preview 9 --output preview.png
"$nablabragg" ensemble ensemble.yaml

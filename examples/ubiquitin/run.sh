#!/usr/bin/env bash
# Ubiquitin, from its atoms to a diffraction image.
#   run.sh [FOLDER]     writes into FOLDER (default: the current one)
# NABLABRAGG names the program (default: the one in PATH).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${NABLABRAGG:-nablabragg}
mkdir -p "${1:-.}" && cd "${1:-.}"

# Structure factors of the model with its bulk solvent, to 1.8 Angstrom, all of P1
"$program" fcalc "$here/1ubq.pdb" -dmin 1.8 -o ubiquitin.hkl

# A 20 x 20 x 30 cell crystal turned by one degree in a 1 Angstrom beam; every flag is in docs/flags.md
"$program" -corrected \
  -hkl ubiquitin.hkl -mat "$here/ubiquitin.mat" -Na 20 -Nb 20 -Nc 30 \
  -mosaic 0.5 -mosaic_domains 32 -phi 0 -osc 1 -phisteps 16 \
  -lambda 1 -distance 100 -detpixels 1024 -pixel 0.1 -oversample 1 \
  -fluence 1e26 -water 0.25 -seed 1 \
  -floatfile ubiquitin.f32 -noisefile ubiquitin.img \
  -pngfile ubiquitin.png -pngnoise -pngwhite 60 -pnginvert -pngaxes -pngrings 2,3,5,10

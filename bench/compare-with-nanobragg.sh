#!/usr/bin/env bash
# Times nablaBragg's reference engine and a nanoBragg program in turn, whole processes, and prints a table.
#   NB_C_BIN=/path/to/nanoBragg bench/compare-with-nanobragg.sh [threads [repetitions]]
# NABLABRAGG names our program.  Of the repetitions the fastest counts.
set -euo pipefail
: "${NB_C_BIN:?set NB_C_BIN to a nanoBragg program to compare with}"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ours=${NABLABRAGG:-$root/build/release/nablabragg}
threads=${1:-$(nproc)} repetitions=${2:-5}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cp "$root"/tests/golden/reference/inputs/ubiquitin.* .

seconds() { # the command's fastest run
  local best=""
  for _ in $(seq "$repetitions"); do
    rm -f ./*.img ./*.bin ./*.pgm
    local start end
    start=$(date +%s%N)
    "$@" >/dev/null 2>&1
    end=$(date +%s%N)
    best=$(awk -v a="${best:-1e18}" -v b="$((end - start))" 'BEGIN { print (a < b ? a : b) }')
  done
  awk -v ns="$best" 'BEGIN { printf "%.3f", ns / 1e9 }'
}

compare() { # name, flags
  local name=$1
  shift
  local flags=("$@" -floatfile out.f32 -nonoise -nopgm -noprogress) theirs mine
  theirs=$(OMP_NUM_THREADS=$threads seconds "$NB_C_BIN" "${flags[@]}")
  mine=$(seconds "$ours" "${flags[@]}" -threads "$threads")
  awk -v n="$name" -v t="$theirs" -v m="$mine" 'BEGIN { printf "| %s | %s s | %s s | %.2f |\n", n, t, m, t / m }'
}

cubic=(-cell 100 100 100 90 90 90 -default_F 100 -N 5)
echo "threads: $threads; load: $(cut -d' ' -f1 /proc/loadavg); $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs)"
echo "| case | nanoBragg | nablaBragg | ratio |"
echo "|---|---|---|---|"
compare "cubic, 1024 x 1024, 1 step a pixel" "${cubic[@]}" -lambda 6.2 -detpixels 1024 -oversample 1
compare "ubiquitin, 25 domains x 10 phi, 256 x 256" -hkl ubiquitin.hkl -mat ubiquitin.mat -lambda 1 -N 20 \
  -distance 80 -detpixels 256 -pixel 0.4 -oversample 1 -mosaic 0.5 -mosaic_dom 25 -phi 1 -osc 1 -phisteps 10
compare "25 x 25 x 9 sources, 64 x 64" "${cubic[@]}" -lambda 1 -detpixels 64 -pixel 0.2 -oversample 1 \
  -hdivrange 5 -hdivsteps 25 -vdivrange 5 -vdivsteps 25 -square_div -dispersion 1 -dispsteps 9
compare "5 sensor layers, 1024 x 1024" "${cubic[@]}" -lambda 1 -detpixels 1024 -oversample 1 \
  -detector_thick 450 -detector_abs 234 -thicksteps 5

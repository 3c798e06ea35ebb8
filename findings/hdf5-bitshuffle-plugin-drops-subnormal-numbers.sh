#!/usr/bin/env bash
# bitshuffle 0.3.5 (Debian 12: bitshuffle 0.3.5-4+b3), the HDF5 filter 32008: once it is loaded, numbers below 2.2e-308 are 0.
#
# The plugin is linked with -ffast-math, whose start-up code sets the processor's flush-to-zero and denormals-are-zero for
# the thread that loads it.  HDF5 loads it when a data set packed with it is first read or written, so opening an EIGER
# image changes the arithmetic of the whole program from there on, without a word.
#
# Seen: 1e-310 / 2 before: 5e-311   after one read: 0.0
#
# Needs apt-get, dpkg-deb, python3 and python3-h5py of Debian 12 (bookworm), amd64.  Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download bitshuffle=0.3.5-4+b3
dpkg-deb -x bitshuffle_*.deb .
HDF5_PLUGIN_PATH=$(dirname "$(find "$folder" -path '*serial*' -name 'libh5bshuf.so' | head -n 1)")
export HDF5_PLUGIN_PATH
/usr/bin/python3 - <<'PYTHON'
import h5py
import numpy as np

tiny = np.float64(1e-310)
before = str(tiny / 2)  # now: later it would be printed as 0
with h5py.File("packed.h5", "w") as file:
    data = file.create_dataset("data", data=np.arange(1000).reshape(10, 100), chunks=(10, 100), compression=32008,
                               compression_opts=(0, 2))
    data[()]
after = str(tiny / 2)
print(f"1e-310 / 2 before: {before}   after one read: {after}")
assert (before, after) == ("5e-311", "0.0"), "the plugin leaves arithmetic alone now"
PYTHON

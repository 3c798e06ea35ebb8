#!/usr/bin/env bash
# gemmi 0.5.7 (Debian 12: python3-gemmi 0.5.7+ds-2+b1): cromer_liberman() leaps at single energies, far from any edge: at exactly
# twice an edge f' of that energy is wrong by up to tens of electrons, while 1 eV to either side it is right.
#
# Its integral over energies has a point there that falls on the edge.  Edges are round numbers of eV in its tables, and so are the
# energies that people ask for: f' of iron at 14224 eV is 17 instead of 0.35, of sulphur at 4944 eV -1.4 instead of 0.37.
#
# Seen: Fe 14223 eV 0.345, 14224 eV 16.969, 14225 eV 0.350; S 4943 eV 0.365, 4944 eV -1.393, 4945 eV 0.369
#
# Needs apt-get, dpkg-deb and python3 of Debian 12 (bookworm).  Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download python3-gemmi=0.5.7+ds-2+b1
dpkg-deb -x python3-gemmi_*.deb .
PYTHONPATH=$folder/usr/lib/python3/dist-packages /usr/bin/python3 - <<'PYTHON'
import sys

import gemmi

assert gemmi.__version__ == "0.5.7", gemmi.__version__
leaps = 0
for element, energy in (("Fe", 14224), ("S", 4944)):
    number = gemmi.Element(element).atomic_number
    below, there, above = (gemmi.cromer_liberman(z=number, energy=energy + off)[0] for off in (-1, 0, 1))
    print(f"{element} {energy - 1} eV {below:.3f}, {energy} eV {there:.3f}, {energy + 1} eV {above:.3f}")
    leaps += abs(there - (below + above) / 2) > 1
sys.exit("this gemmi behaves differently from what is stated above" if leaps != 2 else 0)
PYTHON

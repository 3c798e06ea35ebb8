#!/usr/bin/env bash
# gemmi 0.5.7 (Debian 12: python3-gemmi 0.5.7+ds-2+b1): an atom of unknown element (X, as in residues UNX and UNL of the PDB)
# has the scattering factor of oxygen.
#
# Element("X").it92 is not None, as one would expect of an element that the International Tables do not list, but holds the
# coefficients of O.  A model with such an atom gets 8 electrons for it, without a word.
#
# Seen: X: 8.0 electrons at sin(theta)/lambda = 0, the coefficients of O
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
unknown, oxygen = gemmi.Element("X").it92, gemmi.Element("O").it92
if unknown is None:
    sys.exit("this gemmi has no scattering factor for the unknown element")
print(f"X: {unknown.calculate_sf(0):.1f} electrons at sin(theta)/lambda = 0")
same = unknown.get_coefs() == oxygen.get_coefs()
print("the coefficients of O" if same else "other coefficients than those of O")
sys.exit("this gemmi behaves differently from what is stated above" if not same else 0)
PYTHON

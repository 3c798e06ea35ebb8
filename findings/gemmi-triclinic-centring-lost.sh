#!/usr/bin/env bash
# gemmi 0.5.7 (Debian 12: python3-gemmi 0.5.7+ds-2+b1): structure factors by the density grid lose the lattice centring
# of space groups that are No. 1 in another setting (A 1, B 1, C 1, I 1, F 1).
#
# Symmetry is applied to a grid by symmetrize_sum(), which skips its work where the number of the space group is 1, and that
# is also the number of the centred settings.  So the amplitude of a reflection that the centring allows is half of the
# direct sum (a quarter for F 1), without a word.  Centred groups of higher number are right: C 1 2 1 is shown beside.
#
# Seen: A 1: grid/direct 0.500   F 1: grid/direct 0.250   C 1 2 1: grid/direct 1.000
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


def amplitudes(group, hkl, d_min=2.0, rate=2.0):
    """|F| of one carbon atom in a cell of 20 x 22 x 24 A: by the grid, and by the sum over atoms and images."""
    structure = gemmi.Structure()
    structure.cell = gemmi.UnitCell(20, 22, 24, 90, 90, 90)
    structure.spacegroup_hm = group
    atom = gemmi.Atom()
    atom.name, atom.element, atom.b_iso, atom.occ = "C", gemmi.Element("C"), 20, 1
    atom.pos = structure.cell.orthogonalize(gemmi.Fractional(0.1, 0.2, 0.3))
    residue = gemmi.Residue()
    residue.name, residue.seqid = "ALA", gemmi.SeqId("1")
    residue.add_atom(atom)
    chain = gemmi.Chain("A")
    chain.add_residue(residue)
    model = gemmi.Model("1")
    model.add_chain(chain)
    structure.add_model(model)
    structure.setup_cell_images()

    density = gemmi.DensityCalculatorX()
    density.d_min, density.rate = d_min, rate
    density.set_grid_cell_and_spacegroup(structure)
    density.put_model_density_on_grid(structure[0])
    grid = gemmi.transform_map_to_f_phi(density.grid, half_l=False)
    direct = gemmi.StructureFactorCalculatorX(structure.cell).calculate_sf_from_model(structure[0], hkl)
    return abs(grid.get_value(*hkl)), abs(direct)


changed = False
for group, seen in (("A 1", 0.5), ("F 1", 0.25), ("C 1 2 1", 1.0)):
    by_grid, direct = amplitudes(group, (2, 2, 4))
    print(f"{group}: grid {by_grid:.3f}, direct sum {direct:.3f}, grid/direct {by_grid / direct:.3f}")
    changed |= abs(by_grid / direct - seen) > 0.01
sys.exit("this gemmi behaves differently from what is stated above" if changed else 0)
PYTHON

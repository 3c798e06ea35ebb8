"""Matter in the beam besides the crystal."""

from nablabragg import _core


def read_background(path, *, thickness, density, molar_mass, interpolation="linear"):
    """The Material of a table: sin(theta)/lambda [1/A] and F [electrons a molecule], a row each.

    thickness : mm along the beam; density : g/cm^3; molar_mass : g/mol, of what F is of
    interpolation : 'linear', 'cubic' or 'nonbragg'

    Ctrl-C stops reading.  Raises InputError for a file that cannot be read or is no such table.
    """
    return _core.read_background(path).replace(
        thickness=thickness, density=density, molar_mass=molar_mass, interpolation=interpolation
    )


def gas_in_beam(start, end, *, gas="air", temperature=293.15, pressure=101.325, compton=True):
    """The Materials of a gas along the beam, a tuple: coherent and, with `compton`, Compton scattering.

    start, end : mm along the beam, the sample at 0
    gas : 'air' or 'helium'; temperature : K; pressure : kPa

    Raises UsageError for a path that does not lead along the beam and for numbers of no gas.
    """
    both = _core.gas_in_beam(start, end, gas, temperature, pressure)
    return both if compton else both[:1]


def compton_of(formula, material):
    """The Compton scattering of a material: as much of it, F from the atoms of `formula`, as 'H2O'.

    Raises UsageError for a formula that is none or that has another molar mass than the material.
    """
    return _core.compton_of(formula, material)


def ice_rings(thickness, *, cell=(4.4975, 7.3224), size=300.0, B=1.4):
    """The Material of hexagonal ice, a powder.

    thickness : um along the beam; cell : edges a and c [A], by default those at about 100 K
    size : of the crystals [A], which broadens the rings; B : of the atoms [A^2]

    Raises UsageError for numbers of no ice and for rings too sharp for a table (above 3000 A).
    """
    return _core.ice_rings(thickness, cell, size, B)

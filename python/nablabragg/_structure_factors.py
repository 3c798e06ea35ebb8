"""Where structure factors come from."""

from nablabragg import _core


def _read(path, *, column="", default_F=0.0, interpolation="automatic"):
    """Of a text with h k l F in each line, an MTZ or an SF-mmCIF file.

    column : str
        names an amplitude column of the latter two
    default_F : number [electrons]
        stands for what the table does not hold

    Ctrl-C stops it.  Raises InputError for a file that cannot be read.
    """
    return _core.read_structure_factors(path, column, default_F, interpolation)


def _from_reflections(hkl, F, *, default_F=0.0, interpolation="automatic"):
    """Of indices and amplitudes.

    hkl : whole numbers of shape (n, 3)
    F : numbers of shape (n,) [electrons]
        a later duplicate replaces an earlier one
    default_F : number [electrons]
        stands for what the table does not hold

    Raises UsageError for other shapes and for indices that are no whole numbers, InputError for an
    amplitude that is NaN or infinite.
    """
    return _core.structure_factors_from_reflections(hkl, F, default_F, interpolation)


for _function in (_read, _from_reflections):
    _function.__name__ = _function.__name__[1:]
    _function.__qualname__ = f"StructureFactors.{_function.__name__}"
    setattr(_core.StructureFactors, _function.__name__, staticmethod(_function))


def calculate_structure_factors(
    path, dmin, *, k_sol=0.35, b_sol=46.0, default_F=0.0, interpolation="automatic"
):
    """(StructureFactors, cell) of an atomic model, PDB or mmCIF, also gzipped.

    dmin : number [A]
        the resolution
    k_sol : number [electrons/A^3], b_sol : number [A^2]
        density and temperature factor of the bulk solvent; k_sol=0 leaves it out
    default_F : number [electrons]
        stands for what the table does not hold

    The cell is for Crystal(cell=...).  Ctrl-C stops it.  Raises InputError for a file that cannot be
    read.
    """
    return _core.calculate_structure_factors(path, dmin, k_sol, b_sol, default_F, interpolation)

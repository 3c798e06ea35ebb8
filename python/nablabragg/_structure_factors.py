"""Where structure factors come from."""

from nablabragg import _core


def read_reflections(path, *, column=""):
    """The ReflectionFile of a file of reflections, told by its content.

    path : str or path
        MTZ, SF-mmCIF (or .fcf), a list of XDS, CrystFEL or SHELX, or a text with h k l F in each
        line, also gzipped
    column : str
        names an amplitude or intensity of MTZ and mmCIF; F(+) and F(-) are taken together,
        intensities as their roots; of SHELX lists and texts I or F

    Ctrl-C stops it.  Raises InputError for a file that cannot be read or may hold no amplitudes,
    UsageError for a column of a file that has none.
    """
    return _core.read_reflections(path, column)


def _read(path, *, column="", default_F=0.0, interpolation="automatic", cell=None):
    """Of any file that read_reflections() reads.

    That also says which column was taken, and the file's cell and wavelength.

    column : str
        as read_reflections() takes it
    default_F : number [electrons]
        stands for what the table does not hold
    cell : 6 numbers [A A A deg deg deg] or None
        is compared with that of the file: beyond 1 % a warning, beyond 5 % an InputError

    The cell and the wavelength of the file stay with the amplitudes, as stated_cell and
    stated_wavelength: an Experiment without a cell takes that one, and another one is compared, by
    the same rule, with a UsageError.  For isomorphous data give it
    structure_factors.replace(stated_cell=None).

    What is left out or stands there twice is a SimulationWarning.  Ctrl-C stops it.  Raises
    InputError for a file that cannot be read.
    """
    return _core.read_structure_factors(path, column, default_F, interpolation, cell)


def _from_reflections(hkl, F, *, default_F=0.0, interpolation="automatic"):
    """Of indices and amplitudes.

    hkl : whole numbers of shape (n, 3)
    F : numbers of shape (n,) [electrons]
        a later duplicate replaces an earlier one; where they disagree that is a SimulationWarning
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
    path,
    dmin,
    *,
    k_sol=0.35,
    b_sol=46.0,
    default_F=0.0,
    interpolation="automatic",
    anomalous=False,
    energies=None,
):
    """(StructureFactors, cell) of an atomic model: PDB, mmCIF or core CIF, also gzipped.

    dmin : number [A]
        the resolution
    k_sol : number [electrons/A^3], b_sol : number [A^2]
        density and temperature factor of the bulk solvent; k_sol=0 leaves it out
    default_F : number [electrons]
        stands for what the table does not hold
    anomalous : bool or dict of element to path
        F follows the energy of each ray, by f' and f'' of the elements heavier than neon and of
        those that are named, whose files have rows of energy [eV], f', f'' (docs/anomalous.md)
    energies : numbers [eV] or None
        of the light: f' and f'' are exact there, and energies near an edge of an element without a
        file are a SimulationWarning

    The cell is for Crystal(cell=...).  What was decided where the model leaves a choice is a
    SimulationWarning, a sentence each.  Ctrl-C stops it.  Raises InputError for a file that cannot
    be read.
    """
    return _core.calculate_structure_factors(
        path, dmin, k_sol, b_sol, default_F, interpolation, anomalous, energies
    )

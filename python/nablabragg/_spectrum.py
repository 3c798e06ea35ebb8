"""The spectrum of the beam."""

from nablabragg import _core


def with_spectrum(experiment, spectrum, *, unit=None, channels=None):
    """The Experiment in a beam of one direction that has a spectrum, with its mean as the wavelength.

    Sensors attenuate as their material does at that wavelength, unless another depth is stated.

    spectrum : path, or array (n, 2)
        a text of two columns, or rows: energy or wavelength, and weight
    unit : 'eV', 'keV' or 'A'
        what the first column is; None: what the file says
    channels : int
        thins the spectrum to so many channels of equal widths in energy

    Ctrl-C stops reading.  Raises InputError for a file that cannot be read or states no unit,
    UsageError for rows that are no spectrum and for an experiment with divergence or dispersion.
    """
    return _core.with_spectrum(experiment, spectrum, unit, channels)


def read_spectra(path, *, unit=None, channels=None, scale="relative"):
    """The Spectra of a file: a row of weights for each shot, and the axis of energies or wavelengths.

    path : str or path-like
        HDF5 or numpy's .npz, "shots.h5" or "shots.h5:/path/of/weights" as -spectra takes it (docs/series.md): the
        arrays weights (or spectra) and one of energy_eV, energy_keV and wavelength_A
    unit : "eV", "keV" or "A"
        of the axis; None: what the file says
    channels : int, optional
        thins each shot to so many channels of equal widths in energy; moved_eV says what that moves
    scale : "relative" or "absolute"
        what the sum of a row says, as Spectra() takes it

    Ctrl-C stops reading.  Raises InputError for a file that cannot be read, states no unit or
    holds what is no spectra.
    """
    return _core.read_spectra(path, unit, channels, scale)

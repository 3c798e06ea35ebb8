"""The spectrum of the beam."""

import os

import numpy as np

from nablabragg import _core

# The units of what a .npz calls its axis
_AXES = {"energy_eV": "eV", "energy_keV": "keV", "wavelength_A": "A"}
_WEIGHTS = ("weights", "spectra")


def with_spectrum(experiment, spectrum, *, unit=None, channels=None):
    """The Experiment in a beam of one direction that has a spectrum, with its mean as the wavelength.

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


def _one_of(names, arrays, path, what):
    found = [name for name in names if name in arrays]
    if len(found) != 1:
        raise _core.InputError(
            f"{os.fspath(path)}: holds {' and '.join(found) if found else 'none'} of {', '.join(names)}: {what}"
        )
    return found[0]


def _read_npz(path, unit, channels, scale):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            axis = _one_of(_AXES, arrays, path, "the axis of the spectra, whose name says its unit")
            weights = _one_of(_WEIGHTS, arrays, path, "the weights (shots, channels) of the spectra")
            values = arrays[axis], np.atleast_2d(arrays[weights])
    except (OSError, ValueError) as error:
        raise _core.InputError(f"{os.fspath(path)}: cannot be read as .npz ({error})") from None
    try:
        return _core.Spectra(*values, unit=_AXES[axis] if unit is None else unit, channels=channels, scale=scale)
    except (_core.UsageError, TypeError) as error:
        raise _core.InputError(f"{os.fspath(path)}: {error}") from None


def read_spectra(path, *, unit=None, channels=None, scale="relative"):
    """The Spectra of a file: a row of weights for each shot, and the axis of energies or wavelengths.

    path : str or path-like
        HDF5, "shots.h5" or "shots.h5:/path/of/weights" as -spectra takes it (docs/series.md), or .npz: the
        arrays weights (or spectra) and one of energy_eV, energy_keV and wavelength_A
    unit : "eV", "keV" or "A"
        of the axis; None: what the file says
    channels : int, optional
        thins each shot to so many channels of equal widths in energy; moved_eV says what that moves
    scale : "relative" or "absolute"
        what the sum of a row says, as Spectra() takes it

    Ctrl-C stops reading of HDF5.  Raises InputError for a file that cannot be read, states no unit or
    holds what is no spectra.
    """
    if os.fsdecode(os.fspath(path)).endswith(".npz"):
        return _read_npz(path, unit, channels, scale)
    return _core.read_spectra(path, unit, channels, scale)

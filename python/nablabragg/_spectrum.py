"""The spectrum of the beam."""

from nablabragg import _core


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

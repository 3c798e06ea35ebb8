"""The Jacobian with its columns named."""

from typing import NamedTuple

import numpy as np

from nablabragg import _core
from nablabragg._compute import options_of


class Jacobian(NamedTuple):
    """How n pixels change with m numbers."""

    photons: np.ndarray
    """(n,): the pixels"""
    slopes: np.ndarray
    """(n, m): d(photons)/d(number), per unit of the parameter"""
    columns: tuple
    """m names: 'cell[0]', 'cell[1]', ..., 'wavelength'"""
    pixels: np.ndarray
    """(n, 2): slow, fast"""


def jacobian(
    experiment,
    names,
    pixels=None,
    *,
    dtype="float64",
    threads=0,
    progress=None,
    engine="cpu",
    device=None,
    summation="auto",
):
    """Photons of some pixels, and how they change with every number of the named parameters.

    names : str or sequence of str
        of experiment.parameters; where F follows the energy also 'f_prime[Fe]' and 'f_double_prime[Fe]',
        with a column for each row of the element's curve: 'f_prime[Fe][0]' and so on
    pixels : int array (n, 2) of (slow, fast), of several panels (n, 3) of (panel, slow, fast), or bool
        array of the image's shape
        None: all in the region of interest that are not masked out
    dtype, threads, progress, engine, device, summation
        as value_and_gradient() takes them

    The columns are in the order of the names.  Raises UsageError for names and pixels that do not exist.
    """
    return Jacobian(*_core.jacobian(experiment, names, options_of(locals())))

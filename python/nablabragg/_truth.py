"""What the light of each pixel is made of (docs/truth.md)."""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from nablabragg import _core


@dataclass(frozen=True, eq=False)
class PixelTruth:
    """Arrays of the experiment's shape.

    photons : float64
        the image without noise, the sum of the parts
    parts : dict of str to float64
        the light of each origin: "lattice" first, then "diffuse", "water" and the materials by name
    hkl : int32, one more axis of 3; optional
        the reflection that more than half of the lattice's light in a pixel is of, where has_hkl; where none
        has so much it may be there, too, the strongest or one about as strong
    has_hkl : bool, optional
        both are None where F is interpolated between reflections
    crystal : int32, optional
        of several crystals in the beam that whose reflection it is, where has_hkl: 0 is experiment.crystal, i
        experiment.more_crystals[i - 1]; None of one crystal
    """

    photons: np.ndarray
    parts: dict
    hkl: Optional[np.ndarray]
    has_hkl: Optional[np.ndarray]
    crystal: Optional[np.ndarray] = None


def pixel_truth(experiment, *, threads=None):
    """The PixelTruth of an experiment, in the time of some thirty images.

    threads : int, optional
        None: all of the machine

    Ctrl-C stops it.  Raises UsageError for an experiment in compat mode.
    """
    parts, hkl, has_hkl, crystal = _core.pixel_truth(experiment, threads)
    named = {}
    for name, photons in parts:
        named[name] = named[name] + photons if name in named else photons
    return PixelTruth(
        photons=sum(named.values()),
        parts=named,
        hkl=hkl,
        has_hkl=None if has_hkl is None else has_hkl.astype(bool),
        crystal=crystal,
    )

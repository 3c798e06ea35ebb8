"""Measured images + starting experiments -> the experiments that explain them, with errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nablabragg import _core
from nablabragg._series import Series


class RefinedNumber(NamedTuple):
    """One number of a parameter."""

    name: str
    """'distance', 'cell[0]'; of one image of several 'image[2].misset[0]'"""
    unit: str
    start: float
    value: float
    deviation: float
    """standard deviation; inf where the image does not determine the number, NaN of what was stopped"""
    at_bound: bool


class RefinedFactors(NamedTuple):
    """Structure factors of the table that were refined, n of them."""

    hkl: np.ndarray
    """(n, 3)"""
    start: np.ndarray
    value: np.ndarray
    deviation: np.ndarray
    """as if all else were known"""


class RefineStage(NamedTuple):
    """What one stage did."""

    name: str
    """'spot positions', 'measured spots', 'predicted spots' or 'structure factors'"""
    iterations: int
    spots: int
    pixels: int
    residual_before: float
    residual: float
    """mean squared residual in units of its expected size: about 1 in the end"""
    misfit_share: float
    """with variances='fitted': by how much of the light around it a pixel may be off"""
    seconds: float
    converged: bool


class FoundSpots(NamedTuple):
    """The spots that were found in the image, beside the refined lattice."""

    found: int
    placed: int
    """within two pixels of where the lattice has them"""
    fast_rms_px: float
    slow_rms_px: float


class RefineProgress(NamedTuple):
    """What the progress function is told of an iteration."""

    stage: str
    iteration: int
    residual: float
    change: float
    """of the objective in this iteration"""
    values: dict
    """name to value, now"""
    state: str
    """where it stands, for refine(resume=)"""


class Refinement(NamedTuple):
    """What refine() found."""

    experiments: tuple
    """refined, one for each image; their structure_factors have the refined F"""
    numbers: tuple
    """RefinedNumber, in the order of the parameters, then of `own`, image by image"""
    correlations: np.ndarray
    """(numbers, numbers)"""
    structure_factors: RefinedFactors
    stages: tuple
    """RefineStage"""
    pixels_in_shadow: tuple
    """of each image, how many were left out because its beamstop hides them"""
    found_spots: FoundSpots | None
    """with intensities='free'"""
    warnings: tuple
    """what the numbers do not say, one sentence each"""
    stopped: bool
    """by the progress function; the numbers are those of `state`"""
    state: str
    """where it stands, for refine(resume=)"""

    @property
    def experiment(self):
        """Refined; of several images that of the first."""
        return self.experiments[0]

    def number(self, name):
        """The RefinedNumber of that name.  Raises KeyError that lists what there is."""
        for number in self.numbers:
            if number.name == name:
                return number
        raise KeyError(f"{name!r} was not refined; {', '.join(n.name for n in self.numbers)} were")


def refine(
    experiment,
    image,
    *,
    parameters=(),
    own=(),
    likelihood="poisson",
    background="constant",
    gain=None,
    offset=None,
    readout_noise=0.0,
    overload=None,
    saturated="censored",
    point_spread=None,
    fwhm=46.0,
    image_number=None,
    bounds=None,
    restraints=None,
    shoebox=15,
    spots=300,
    least_photons=20.0,
    all_pixels=False,
    spot_stage=True,
    spots_of=None,
    spots_experiment=0,
    structure_factors=None,
    intensities="model",
    centring="P",
    variances="counted",
    equal=(),
    iterations=50,
    resume=None,
    progress=None,
    dtype="float64",
    threads=0,
    engine="cpu",
    device=None,
):
    """Changes parameters of a model until it explains a measured image, or several: a Refinement.

    The same fit as that of `nablabragg refine`; docs/refinement.md describes it.

    experiment : Experiment, or a list of them, or a Series
        the starting model; of several images one for each
    image : path, or array of the experiment's shape, or a list of them
        a file as read_image() takes it, or raw float32; or counts, NaN where there is none.  Of several
        images also one path, a name with # ('sweep_####.cbf') or a file that holds them
    parameters : sequence of str
        names of experiment.parameters, or some of their numbers: 'misset', 'cell[0]', 'cell[0-2]'; and
        'response.fwhm', the width of point_spread [um].  Several images share them, and start from one
        value
    own : sequence of str
        likewise, what each image has for itself: 'misset' becomes image[0].misset[0] and so on
    likelihood : 'poisson' or 'gauss'
        'gauss': the variance is the model's photons and the readout noise
    background : 'constant', 'none' or 'plane'
        under each shoebox, in addition to the model's own
    gain : float, optional
        counts per photon; None: what the file states, or 1
    offset : float, optional
        counts of a dark pixel; None: what the file or its format states, otherwise estimated where the
        gain is known; of an array 0
    readout_noise : float
        its standard deviation [counts], with 'gauss'
    overload : float, optional
        counts at which the detector ends; None: beyond the file's saturation, or the largest count
        where ten pixels share it
    saturated : 'censored' or 'left-out'
        pixels that count as much: it was that or more, which has a likelihood of its own, or nothing
    point_spread : 'gauss' or 'fiber', optional
        of the detector; the model's light goes through it
    fwhm : float
        its full width at half maximum [um]; where it is refined the start
    image_number : int, optional
        which image of a file of several, from 1; of several images the first
    bounds : dict of name to (lower, upper), optional
        of single numbers, {'distance': (79, 81)}; None leaves an end open
    restraints : dict of name to deviation, or to (value, deviation), optional
        a Gaussian about the start, or about a value
    shoebox, spots, least_photons : int, int, float
        edge [pixels] and largest number of shoeboxes of an image; photons of a spot that counts
    all_pixels : bool
        the whole region of interest of each panel as one shoebox
    spot_stage : bool
        begin with the positions of the spots; False: with the pixels
    spots_of : path, optional
        a .refl of DIALS: its spots, with their indices, in place of those that are looked for
    spots_experiment : int
        which experiment of it, from 0; of several stills the first
    structure_factors : float, optional
        refine F(h,k,l), too, each restrained to its start with this relative standard deviation
    intensities : 'model' or 'free'
        'free': a number for each spot, without structure factors; `structure_factors` of the result are
        then those of all reflections that were seen
    centring : 'P', 'A', 'B', 'C', 'I', 'F' or 'R'
        which reflections there are, with free intensities
    variances : 'counted' or 'fitted'
        'fitted': a pixel may also be off by a share of the light around it, as large as the misfit asks
        for
    equal : sequence of str
        numbers that are refined as one: 'cell[0-2]' of a cubic cell
    iterations : int
        of each stage at most
    resume : str, optional
        RefineProgress.state or Refinement.state of a refinement that was stopped, of the same image,
        model and options: it ends as if it had not been, to the last bit
    progress : function of a RefineProgress
        called after each iteration, on the thread that works; stops it by returning False
        (Refinement.stopped) or by raising
    dtype, threads, engine, device
        as value_and_gradient() takes them; the numbers do not depend on the threads

    Other Python threads run meanwhile, and Ctrl-C stops it.  What the numbers do not say is a
    SimulationWarning each, and in `warnings`.  Raises UsageError for a parameter, bound or restraint
    that there is not, InputError for an image that does not fit the model or shows no spots, and what
    simulate() raises.
    """
    if isinstance(experiment, Series):
        experiment = [experiment.experiment(i) for i in range(len(experiment))]
    asked = dict(locals(), summation="auto", progress_type=RefineProgress)
    for name in ("experiment", "image"):
        del asked[name]
    if not hasattr(_core, "refine"):
        raise _core.Error("this build has no refine: it was configured with -DNABLA_REFINE=OFF")
    refined, numbers, correlations, factors, stages, hidden, found, warnings, stopped, state = _core.refine(
        experiment, image, asked
    )
    return Refinement(
        tuple(refined),
        tuple(RefinedNumber(*number) for number in numbers),
        correlations,
        RefinedFactors(*factors),
        tuple(RefineStage(*stage) for stage in stages),
        hidden,
        found and FoundSpots(*found),
        tuple(warnings),
        stopped,
        state,
    )

"""X-ray diffraction images of small crystals, on the absolute scale, with exact gradients.

    import nablabragg as nb

    e = nb.Experiment(
        crystal=nb.Crystal(cell=(50.8, 42.8, 28.9, 90, 90, 90), misset=(10, 20, 30), cells=20),
        detector=nb.Detector(pixels=512, pixel_size=0.2, distance=100),
        structure_factors=100)
    image = nb.simulate(e)  # photons, float32, (slow, fast)
    value, gradient = nb.value_and_gradient(e, weights)  # of sum(weights * image)

nablabragg.torch has images as functions of torch tensors.  docs/python.md is the guide.  Field units
throughout: Angstrom, degree, mm, um, mrad, percent.  Every error is an nb.Error; what is wrong with a
description is an nb.UsageError (a ValueError), what is wrong with a file an nb.InputError.
"""

from nablabragg._core import (
    Beam,
    Beamstop,
    Cancelled,
    Crystal,
    Detector,
    DeviceArray,
    DeviceError,
    DetectorGroup,
    Error,
    Experiment,
    FurtherCrystal,
    FurtherPanel,
    InputError,
    Material,
    OutputError,
    ReflectionFile,
    SampledRange,
    Sampling,
    Scan,
    SimulationWarning,
    Spectra,
    StructureFactors,
    UsageError,
    __version__,
)
from nablabragg._background import compton_of, gas_in_beam, ice_rings, read_background
from nablabragg._command_line import parse
from nablabragg._compute import (
    jvp,
    simulate,
    simulate_on_device,
    sweep,
    value_and_gradient,
    vjp,
    write_picture,
    write_png,
)
from nablabragg._dictionary import from_dict, to_dict
from nablabragg._files import ImageWriter, count_photons, read_image, write_image
from nablabragg import _methods  # gives methods of the compiled classes their signatures
from nablabragg._jacobian import Jacobian, jacobian
from nablabragg._model import ExperimentModel
from nablabragg._refinement import FoundSpots, RefinedFactors, RefinedNumber, Refinement, RefineProgress, RefineStage, refine
from nablabragg._response import DetectorResponse, expected_counts, pixel_states, spread_light
from nablabragg._series import Series, random_orientations, series
from nablabragg._spectrum import read_spectra, with_spectrum
from nablabragg._structure_factors import calculate_structure_factors, read_reflections
from nablabragg._truth import PixelTruth, pixel_truth

no_pixels = (1, 0, 1, 0)
"""The `roi` of a panel, one of several, of which no pixel is computed."""

__all__ = [
    "Beam",
    "Beamstop",
    "Cancelled",
    "Crystal",
    "Detector",
    "DeviceArray",
    "DeviceError",
    "DetectorGroup",
    "DetectorResponse",
    "Error",
    "Experiment",
    "ExperimentModel",
    "FoundSpots",
    "FurtherCrystal",
    "FurtherPanel",
    "ImageWriter",
    "InputError",
    "Jacobian",
    "Material",
    "OutputError",
    "PixelTruth",
    "RefineProgress",
    "RefineStage",
    "RefinedFactors",
    "RefinedNumber",
    "Refinement",
    "ReflectionFile",
    "SampledRange",
    "Sampling",
    "Scan",
    "Series",
    "SimulationWarning",
    "Spectra",
    "StructureFactors",
    "UsageError",
    "calculate_structure_factors",
    "compton_of",
    "count_photons",
    "expected_counts",
    "from_dict",
    "gas_in_beam",
    "ice_rings",
    "jacobian",
    "jvp",
    "no_pixels",
    "parse",
    "pixel_states",
    "pixel_truth",
    "random_orientations",
    "read_background",
    "read_image",
    "read_reflections",
    "read_spectra",
    "refine",
    "series",
    "simulate",
    "simulate_on_device",
    "spread_light",
    "sweep",
    "to_dict",
    "value_and_gradient",
    "vjp",
    "with_spectrum",
    "write_image",
    "write_picture",
    "write_png",
]

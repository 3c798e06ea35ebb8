"""What a detector makes of the photons that reach it (docs/detector-response.md)."""

from dataclasses import dataclass
from typing import Optional

from nablabragg import _core


@dataclass(frozen=True)
class DetectorResponse:
    """The steps from photons to counts, in the order of a detector's physics; what is 0 does nothing.

    kind : str
        "counting": each photon is counted in one pixel, or in none; "integrating": the charge of all
        photons is read out and digitized
    point_spread : str, optional
        "gauss", or "fiber", that of a fibre-optic taper; None: none.  Of the mean photons of a counting
        detector, of the signal of an integrating one
    fwhm : float
        of the point spread, full width at half maximum [um]
    flicker : float
        standard deviation of the beam's intensity, image by image [fraction]
    calibration : float
        standard deviation of what a pixel absorbs, the same pattern in all images [fraction]
    calibration_seed : int
        of the patterns of calibration and gain_spread, and of dead and hot pixels
    calibration_map : array of the experiment's shape, optional
        what each pixel absorbs, of what it would without; beside calibration
    dead_pixels, hot_pixels : float
        share of the pixels that see nothing, and that hold the largest count; the same in all images, as
        pixel_states() tells them
    bits : int, optional
        no more than 2**bits - 1 is recorded; None: the panel's saturation

    Of counting detectors:

    dead_time : float
        after each photon that is counted, of beam.exposure [ns]
    paralysable : bool
        the dead time begins anew with each photon that is not counted

    Of integrating detectors, whose signal of a photon is detector.gain:

    photon_spread : float
        standard deviation of the signal of one photon, of that signal [fraction]
    photon_charge : float
        of one photon [electrons]; it is what dark_current and full_well are told by
    dark_current : float
        of each pixel, as long as beam.exposure [electrons/s]
    full_well : float
        the largest charge of a pixel [electrons]; 0: no limit
    gain_spread : float
        standard deviation of the gain of a pixel, the same pattern in all images [fraction]
    gain_map : array of the experiment's shape, optional
        factors of detector.gain
    readout_noise : float
        standard deviation [counts]
    offset : float
        of every pixel [counts]

    count_photons() and series() raise UsageError for what is out of range or not of that kind.
    """

    kind: str = "counting"
    point_spread: Optional[str] = None
    fwhm: float = 46.0
    flicker: float = 0.0
    calibration: float = 0.0
    calibration_seed: int = 123456789
    calibration_map: Optional[object] = None
    dead_pixels: float = 0.0
    hot_pixels: float = 0.0
    dead_time: float = 0.0
    paralysable: bool = False
    photon_spread: float = 0.0
    photon_charge: float = 0.0
    dark_current: float = 0.0
    full_well: float = 0.0
    gain_spread: float = 0.0
    gain_map: Optional[object] = None
    readout_noise: float = 0.0
    offset: float = 40.0
    bits: Optional[int] = None

    @staticmethod
    def from_json(text, *, calibration_map=None, gain_map=None):
        """The response in a text of Experiment.to_json(response=...); None where it has none.

        calibration_map, gain_map : arrays, optional
            of a response that has them: the text has their checksums

        Raises InputError, which names the key, for text that is no experiment, for unknown keys and for other maps.
        """
        arguments = _core.response_from_json(text, calibration_map, gain_map)
        return None if arguments is None else DetectorResponse(**arguments)


def pixel_states(experiment, response):
    """Which pixels a response makes dead (1) or hot (2), and which are good (0): uint8 of the experiment's shape.

    response : DetectorResponse
        with dead_pixels or hot_pixels; the states are those of its calibration_seed, in all images

    Raises UsageError as count_photons() does.
    """
    return _core.pixel_states(experiment, response)


def expected_counts(experiment, image, response):
    """The counts that a detector records on the mean: a float64 array of the same shape.

    image : array of the experiment's shape
        photons, not below 0
    response : DetectorResponse
        its steps without what is random in an image: point spread, calibration, dead pixels, dark current,
        gain, offset, and the dead time at the mean light.  Counts have no limit and are not rounded; hot
        pixels hold the largest count

    It is the mean of count_photons() over all seeds.  value_and_gradient(..., response=...) goes through
    it.  Raises UsageError as count_photons() does.
    """
    return _core.expected_counts(experiment, image, response)


def spread_light(experiment, light, point_spread, *, fwhm=46.0):
    """The light of a panel's pixels, spread over its neighbours: a float64 array of the same shape.

    light : array of the experiment's shape
        photons, or a derivative with respect to them
    point_spread : str
        "gauss" or "fiber"
    fwhm : float
        full width at half maximum [um]

    What leaves a panel is lost.  It is linear and its own adjoint, so the derivative of sum(w *
    spread_light(e, image, ...)) with respect to the image is spread_light(e, w, ...).  Raises UsageError
    for another shape.
    """
    return _core.spread_light(experiment, light, point_spread, fwhm)

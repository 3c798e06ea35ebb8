"""The same crystal three times: the photons that are expected, and as a photon counter and a CCD record them.

    detector_response.py [PICTURE.png]
"""

import pathlib
import sys

import numpy as np

import nablabragg as nb

model = pathlib.Path(__file__).parents[1] / "ubiquitin" / "1ubq.pdb"
factors, cell = nb.calculate_structure_factors(model, dmin=1.8)

slow, fast = np.indices((512, 512))
beam_stop = np.hypot(slow - 256, fast - 256) < 12  # no light reaches the detector there


def experiment(**detector):
    return nb.Experiment(
        crystal=nb.Crystal(
            cell=cell,
            misset=(10, 20, 30),
            cells=40,
            blocks=1e6,
            shape="gauss",
            mosaic_spread=0.1,
            mosaic_model="gaussian",
        ),
        beam=nb.Beam(wavelength=1.0, flux=1e12, size=0.05, exposure=0.01),
        scan=nb.Scan(phi=0, oscillation=1),
        detector=nb.Detector(pixels=512, pixel_size=0.075, distance=60, **detector),
        sampling=nb.Sampling(mask=~beam_stop),
        structure_factors=factors,
        water=80,
    )


counter = experiment(sensor_material="Si", sensor_thickness=450)
ccd = experiment(gain=2)
as_counter = nb.DetectorResponse("counting", point_spread="gauss", fwhm=30, calibration=0.01, dead_time=200, bits=20)
as_ccd = nb.DetectorResponse(
    "integrating", point_spread="fiber", fwhm=100, calibration=0.02, photon_spread=0.4, gain_spread=0.01,
    readout_noise=3, offset=40, bits=16,
)

ideal = nb.simulate(counter)
photons = [
    ideal,
    nb.count_photons(counter, ideal, seed=1, response=as_counter),
    (nb.count_photons(ccd, nb.simulate(ccd), seed=1, response=as_ccd) - as_ccd.offset) / ccd.detector.gain,
]
for name, image in zip(("expected", "photon counter", "CCD"), photons):
    print(f"{name}: {image.sum():.0f} photons, {image.max():.0f} in the brightest pixel")

# A corner of each, every pixel as nine, on one scale
crops = [np.kron(image[300:460, 300:460], np.ones((3, 3))) for image in photons]
white = 12 * np.median(crops[0])
gap = np.zeros((crops[0].shape[0], 6))
picture = np.hstack([crops[0], gap, crops[1], gap, crops[2]])
greys = 255 * (1 - np.clip(picture / white, 0, 1) ** 0.5)
nb.write_png(sys.argv[1] if len(sys.argv) > 1 else "detector_response.png", greys.astype(np.uint8))

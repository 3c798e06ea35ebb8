"""The same crystal three times: its spots alone, and as a photon counter and a CCD record all that is in the beam.

    detector_response.py [PICTURE.png]
"""

import pathlib
import sys

import numpy as np

import nablabragg as nb

model = pathlib.Path(__file__).parents[1] / "ubiquitin" / "1ubq.pdb"
factors, cell = nb.calculate_structure_factors(model, dmin=1.8)

slow, fast = np.indices((512, 512))
corner = (np.minimum(slow, fast) >= 290) & (np.maximum(slow, fast) < 470)  # the only pixels that are computed


def experiment(**more):
    return nb.Experiment(
        beam=nb.Beam(wavelength=1.0, flux=1e12, size=0.05, exposure=0.01),
        scan=nb.Scan(phi=0, oscillation=nb.SampledRange(range=1, steps=20)),
        sampling=nb.Sampling(mask=corner, oversample=2),
        structure_factors=factors,
        **more,
    )


def crystal(**more):
    return nb.Crystal(
        cell=cell,
        misset=(10, 20, 30),
        cells=40,
        blocks=4e6,
        shape="gauss",
        mosaic_spread=0.1,
        mosaic_model="gaussian",
        mosaic_domains=10,
        **more,
    )


def in_the_beam(detector):
    """Imperfect, in its drop, in air, with a film of ice."""
    return experiment(
        crystal=crystal(diffuse_sigma=0.25, diffuse_gamma=15, cell_spread=(0.05, 0.05, 0.05)),
        detector=detector,
        water=40,
        materials=(*nb.gas_in_beam(-5, 5), nb.ice_rings(3)),
    )


def panel(**more):
    return nb.Detector(pixels=512, pixel_size=0.075, distance=60, **more)


counter = in_the_beam(panel(sensor_material="Si", sensor_thickness=450))
ccd = in_the_beam(panel(gain=2))
as_counter = nb.DetectorResponse(
    "counting", point_spread="gauss", fwhm=30, calibration=0.01, dead_pixels=1e-4, hot_pixels=1e-4, dead_time=200, bits=20
)
as_ccd = nb.DetectorResponse(
    "integrating", point_spread="fiber", fwhm=100, calibration=0.02, photon_spread=0.4, gain_spread=0.01,
    photon_charge=10, dark_current=20, full_well=3e5, readout_noise=3, offset=40, bits=16,
)

ideal = nb.simulate(experiment(crystal=crystal(), detector=counter.detector))
photons = [
    ideal,
    nb.count_photons(counter, nb.simulate(counter), seed=1, response=as_counter),
    (nb.count_photons(ccd, nb.simulate(ccd), seed=1, response=as_ccd) - as_ccd.offset) / ccd.detector.gain,
]
for name, image in zip(("spots alone", "photon counter", "CCD"), photons):
    print(f"{name}: {np.median(image[300:460, 300:460]):.1f} photons in the median pixel")

# A corner of each, every pixel as nine, on one scale
crops = [np.kron(image[300:460, 300:460], np.ones((3, 3))) for image in photons]
white = 25 * np.median(crops[1])
gap = np.zeros((crops[0].shape[0], 6))
picture = np.hstack([crops[0], gap, crops[1], gap, crops[2]])
greys = 255 * (1 - np.clip(picture / white, 0, 1) ** 0.5)
nb.write_png(sys.argv[1] if len(sys.argv) > 1 else "detector_response.png", greys.astype(np.uint8))

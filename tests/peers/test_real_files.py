"""Measured images and refined experiments of real detectors, beside dxtbx."""

import pathlib
import warnings

import numpy as np
import pytest

import nablabragg as nb

REAL = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not here")

PILATUS = REAL / "pilatus300k-one-degree.cbf"
CSPAD = REAL / "cspad-64-panels-stills.expt"
MX340 = REAL / "mx340hs-laue-181-stills.expt"


def of_geometry(path, number=0, **parts):
    crystal = parts.pop("crystal", nb.Crystal(cell=(50, 50, 50, 90, 90, 90)))
    factors = parts.pop("structure_factors", nb.StructureFactors(default_F=100.0))
    base = nb.Experiment(crystal=crystal, structure_factors=factors, **parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nb.SimulationWarning)  # what of a file is not taken
        return base.with_geometry(path, number=number)


def panels_of(experiment):
    return [experiment.detector] + [panel.detector for panel in experiment.more_panels]


def positions(panel, pixels):
    """Laboratory positions [mm] of pixels (fast, slow)"""
    steps = np.array(pixels) * [panel.pixel_size, panel.slow_pixel_size or panel.pixel_size]
    origin = 1000 * np.array(panel.origin)
    return origin + steps @ np.array([panel.fast_axis, panel.slow_axis])


def check_positions(experiment, detector, pixels_off=1e-4):
    ours = panels_of(experiment)
    assert len(ours) == len(detector)
    rng = np.random.default_rng(1)
    for panel, theirs in zip(ours, detector):
        assert tuple(panel.pixels) == tuple(theirs.get_image_size())
        pixels = rng.uniform(0, 1, (10, 2)) * panel.pixels
        expected = [theirs.get_lab_coord([x * s for x, s in zip(p, theirs.get_pixel_size())])
                    for p in pixels]
        off = np.linalg.norm(positions(panel, pixels) - expected, axis=1)
        assert off.max() < pixels_off * min(theirs.get_pixel_size())


def local_maxima(image, above, half=1):
    """(slow, fast) of the pixels that nothing around them beats"""
    best = np.full(image.shape, -np.inf)
    wide = np.pad(image, half, constant_values=-np.inf)
    for slow in range(2 * half + 1):
        for fast in range(2 * half + 1):
            part = wide[slow : slow + image.shape[0], fast : fast + image.shape[1]]
            best = np.maximum(best, part)
    return np.argwhere((image == best) & (image > above))


def centroids(image, peaks, half=2):
    """(fast, slow) in pixels, counted from the outer corner of the first, of what stands around peaks"""
    found = []
    for slow, fast in peaks:
        box = (slice(slow - half, slow + half + 1), slice(fast - half, fast + half + 1))
        weight = np.nan_to_num(np.clip(image[box], 0, None))
        if weight.shape != (2 * half + 1,) * 2:
            continue
        rows, columns = np.mgrid[box]
        total = weight.sum()
        found.append(((columns + 0.5) * weight / total, (rows + 0.5) * weight / total))
    return np.array([[x.sum(), y.sum()] for x, y in found])


def nearest(points, others):
    return np.array([np.linalg.norm(others - point, axis=1).min() for point in points])


def test_a_full_imgcif_header_gives_the_geometry_of_dxtbx(tmp_path):
    dxtbx = pytest.importorskip("dxtbx")
    numbered = tmp_path / "one_00001.cbf"  # dxtbx takes the image's number from its name
    numbered.write_bytes(PILATUS.read_bytes())
    theirs = dxtbx.load(str(numbered))
    ours = of_geometry(PILATUS)
    panel, expected = ours.detector, theirs.get_detector()[0]
    np.testing.assert_allclose(1000 * np.array(panel.origin), expected.get_origin(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(panel.fast_axis, expected.get_fast_axis(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(panel.slow_axis, expected.get_slow_axis(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.beam.direction, theirs.get_beam().get_unit_s0(), rtol=0, atol=1e-6)
    assert ours.beam.wavelength == pytest.approx(theirs.get_beam().get_wavelength(), rel=1e-6)
    np.testing.assert_allclose(
        ours.scan.spindle_axis, theirs.get_goniometer().get_rotation_axis(), rtol=0, atol=1e-6)
    start, width = theirs.get_scan().get_oscillation()
    assert (ours.scan.phi, ours.scan.oscillation.range) == pytest.approx((start, width))
    check_positions(ours, theirs.get_detector())


def body_centred(largest):
    index = np.arange(-largest, largest + 1)
    h, k, l = np.meshgrid(index, index, index, indexing="ij")
    return nb.StructureFactors(
        F=np.where((h + k + l) % 2 == 0, 100.0, 0.0), min=(-largest,) * 3, interpolation="nearest")


def test_spots_lie_where_a_pilatus_measured_them():
    # As refined by DIALS: laboratory reciprocal vectors [1/A] as columns, in the middle of the frame
    a_matrix = np.array([[0.0004575, -0.0143857, -0.0129488],
                         [0.0022353, 0.0129050, -0.0142581],
                         [0.0192256, -0.0011581, 0.0019659]])
    wavelength = 0.6894
    header = of_geometry(PILATUS)
    fast, slow = (0.012838, 0.939515, 0.342267), (0.999893, -0.009641, -0.011040)
    detector = header.detector.replace(
        origin=np.array([-56.6139, 2.9899, -128.9218]) / 1000,
        fast_axis=fast, slow_axis=slow, normal=tuple(np.cross(fast, slow)),
        attenuation_depth=1000 / 1.418)
    experiment = nb.Experiment(
        crystal=nb.Crystal(a_matrix=a_matrix * wavelength, cells=25, shape="gauss"),
        beam=header.beam.replace(direction=(-0.00234, 0, -0.999997)),
        detector=detector,
        scan=header.scan.replace(phi=-0.5, oscillation=nb.SampledRange(range=1.0, steps=51)),
        sampling=nb.Sampling(oversample=1),
        structure_factors=body_centred(40))
    simulated = nb.simulate(experiment, dtype="float32")
    measured = np.nan_to_num(nb.read_image(PILATUS)[0])
    background = np.median(measured)
    # A spot has 4700 counts in four pixels, at the median.
    peaks = local_maxima(measured, background + 400, half=3)
    spots = centroids(measured - background - 60, peaks)
    assert len(spots) > 200
    ours = centroids(simulated, local_maxima(simulated, 1e-3 * np.quantile(simulated, 0.9999)))
    assert np.median(nearest(spots, ours)) < 0.3


@pytest.mark.parametrize("path", [CSPAD, MX340], ids=["cspad", "mx340hs"])
def test_panels_of_an_experiment_lie_where_dxtbx_has_them(path):
    model = pytest.importorskip("dxtbx.model.experiment_list")
    theirs = model.ExperimentListFactory.from_json_file(str(path), check_format=False)[0]
    ours = of_geometry(path)
    check_positions(ours, theirs.detector)
    assert ours.beam.wavelength == pytest.approx(theirs.beam.get_wavelength(), rel=1e-9)
    np.testing.assert_allclose(
        np.array(ours.crystal.a_matrix) / ours.beam.wavelength,
        np.array(theirs.crystal.get_A()).reshape(3, 3), rtol=0, atol=1e-9)


def test_reflections_of_a_cspad_still_have_maxima_where_they_were_integrated():
    flex = pytest.importorskip("dials.array_family.flex")
    table = flex.reflection_table.from_file(str(CSPAD.with_suffix(".refl")))
    off = {"xyzobs.px.value": [], "xyzcal.px": []}
    for still in range(3):
        experiment = of_geometry(CSPAD, number=still)
        # So few cells light up every listed reflection, in smooth spots.
        experiment = experiment.replace(
            crystal=experiment.crystal.replace(cells=(12, 12, 9), shape="gauss"),
            sampling=nb.Sampling(oversample=1))
        image = nb.simulate(experiment, dtype="float32").astype(float)
        assert image.shape == (64, 185, 194)
        maxima = [centroids(panel, local_maxima(panel, 0)) for panel in image]
        listed = table.select(table["id"] == still)
        for kind, found in off.items():
            found += [nearest([position[:2]], maxima[panel])[0]
                      for panel, position in zip(listed["panel"], listed[kind])]
    assert len(off["xyzcal.px"]) == 502
    for found in off.values():
        assert np.mean(np.array(found) < 1.5) >= 0.95
    assert np.median(off["xyzcal.px"]) < 0.06
    # DIALS' own predictions are half a pixel from what it observed, and no model of them is nearer (docs/peers.md).
    observed, predicted = (np.array(table[kind])[:, :2] for kind in off)
    theirs = np.median(np.linalg.norm(observed - predicted, axis=1))
    assert theirs == pytest.approx(0.488, abs=0.001)
    assert np.median(off["xyzobs.px.value"]) < theirs + 0.03

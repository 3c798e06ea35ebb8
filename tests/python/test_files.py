"""What write_image() and ImageWriter make, by the ending of the name."""

import json

import numpy as np
import pytest

import nablabragg as nb


@pytest.fixture
def e(small):
    return small.replace(detector=small.detector.replace(sensor_material="Si", sensor_thickness=320))


def test_the_experiment_alone_is_written_without_an_image(e, tmp_path):
    nb.write_image(tmp_path / "a.expt", e)
    assert json.loads((tmp_path / "a.expt").read_text())["__id__"] == "ExperimentList"
    nb.write_image(tmp_path / "a.poni", e)
    assert "poni_version: 2" in (tmp_path / "a.poni").read_text()
    with pytest.raises(nb.UsageError, match="holds the experiment and no pixels"):
        nb.write_image(tmp_path / "b.expt", e, nb.simulate(e))
    assert not (tmp_path / "b.expt").exists()


def test_true_reflections_are_those_of_photons(e, tmp_path):
    photons = nb.simulate(e)
    nb.write_image(tmp_path / "a.refl", e, photons)
    assert b"dials::af::reflection_table" in (tmp_path / "a.refl").read_bytes()
    with pytest.raises(nb.UsageError, match="not of counts"):
        nb.write_image(tmp_path / "b.refl", e, nb.count_photons(e, photons, seed=1))
    with pytest.raises(nb.UsageError, match="without water"):
        nb.write_image(tmp_path / "b.refl", e.replace(water=10), photons)
    with pytest.raises(nb.UsageError, match="orientations are missing"):
        nb.ImageWriter(tmp_path / "b.refl", e, images=2)
    with pytest.raises(nb.UsageError, match="is for 1 images, and 0 were added"):
        nb.write_image(tmp_path / "b.refl", e)
    assert [path.name for path in tmp_path.iterdir()] == ["a.refl"]


def test_a_picture_shows_all_panels(e, tmp_path):
    second = nb.FurtherPanel(detector=e.detector.replace(distance=150))
    for name, experiment in (("a", e), ("b", e.replace(more_panels=[second]))):
        photons = nb.simulate(experiment)
        nb.write_image(tmp_path / f"{name}.png", experiment, photons)
        nb.write_image(tmp_path / f"{name}_counts.png", experiment, nb.count_photons(experiment, photons, seed=1))
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}_counts.png").exists()


def test_images_are_packed_as_asked_where_the_filter_is(e, tmp_path):
    counts = nb.count_photons(e, nb.simulate(e), seed=1)
    nb.write_image(tmp_path / "plain.nxs", e, counts, compression="deflate")
    plain, _, _ = nb.read_image(tmp_path / "plain.nxs")
    try:
        nb.write_image(tmp_path / "packed.nxs", e, counts, compression="bitshuffle_lz4")
    except nb.UsageError as error:
        assert "HDF5 has no filter bitshuffle" in str(error)
    else:
        assert np.array_equal(nb.read_image(tmp_path / "packed.nxs")[0], plain, equal_nan=True)
    with pytest.raises(nb.UsageError, match="packed by deflate or bitshuffle_lz4"):
        nb.write_image(tmp_path / "x.nxs", e, counts, compression="gzip")
    with pytest.raises(nb.UsageError, match="CBF has no choice of compression"):
        nb.write_image(tmp_path / "x.cbf", e, counts, compression="deflate")


def test_names_of_no_format_are_refused_with_those_that_there_are(e, tmp_path):
    with pytest.raises(nb.UsageError, match=r"known are \.nxs \(NXmx\).* and \.png \(PNG\)"):
        nb.write_image(tmp_path / "x.jpeg", e, nb.simulate(e))
    with pytest.raises(nb.UsageError, match="holds no images that expt could list"):
        nb.ImageWriter(tmp_path / "x.poni", e, expt=tmp_path / "x.expt")


def test_a_sensor_of_unknown_matter_is_said_to_be_left_out(e, tmp_path):
    nb.write_image(tmp_path / "a.expt", e)
    experiments = json.loads((tmp_path / "a.expt").read_text())
    for panel in experiments["detector"][0]["panels"]:
        panel["material"], panel["mu"] = "", 0
    (tmp_path / "a.expt").write_text(json.dumps(experiments))
    with pytest.warns(nb.SimulationWarning, match="of no stated material and attenuation"):
        e.with_geometry(tmp_path / "a.expt")


def test_counts_that_the_format_cannot_hold_are_refused_or_said(e, tmp_path):
    counts = np.zeros((e.detector.pixels[1], e.detector.pixels[0]), np.int64)
    for value, kind in ((2**31, np.int64), (2**40, np.int64), (2**32 - 1, np.uint32)):
        wide = counts.astype(kind)
        wide[1, 2] = value
        with pytest.raises(nb.UsageError, match=rf"image needs counts between .*; \[1, 2\] is {value}"):
            nb.write_image(tmp_path / "a.cbf", e, wide)
    photons = counts.astype(float)
    photons[3, 0] = 1e300
    with pytest.raises(nb.UsageError, match=r"image needs photons between .*; \[3, 0\] is 1e\+300"):
        nb.write_image(tmp_path / "a.nxs", e, photons)
    assert not list(tmp_path.iterdir())
    counts[1, 2] = 70000
    with pytest.warns(nb.SimulationWarning, match=r"1 pixel of .*a.img would hold more than the format can"):
        flat = e.replace(detector=e.detector.replace(rotation=(0, 0, 0)))
        nb.write_image(tmp_path / "a.img", flat, counts)


def test_whole_numbers_that_are_too_large_are_told_so(e):
    with pytest.raises(TypeError, match="threads needs a smaller number, not 100000000000000000000"):
        nb.simulate(e, threads=10**20)


def test_an_experiment_list_never_takes_the_place_of_its_images(e, tmp_path):
    scan = e.replace(scan=nb.Scan(oscillation=1))
    (tmp_path / "link.expt").symlink_to("a.nxs")
    for experiment, path, expt, images in (
        (e, "a.nxs", "a.nxs", 1),
        (e, "a.nxs", "link.expt", 1),
        (scan, "a_##.cbf", "a_02.cbf", 3),
    ):
        with pytest.raises(nb.UsageError, match="expt and path would both be written to"):
            nb.ImageWriter(tmp_path / path, experiment, images=images, expt=tmp_path / expt)
    assert [path.name for path in tmp_path.iterdir()] == ["link.expt"]


def test_photons_that_are_nan_are_no_counts(e):
    photons = nb.simulate(e)
    photons[4, 5] = np.nan
    with pytest.raises(nb.UsageError, match=r"is NaN in pixels that count, first at \[4, 5\]"):
        nb.count_photons(e, photons, seed=1)
    keep = np.ones(photons.shape, bool)
    keep[4, 5] = False
    masked = e.replace(sampling=e.sampling.replace(mask=keep))
    assert nb.count_photons(masked, photons, seed=1)[4, 5] == -1


FRAMED = (
    "-corrected -default_F 100 -cell 50 60 70 85 95 105 -misset 10 20 30 -N 8 -gauss_xtal -mosaic 0.5 "
    "-mosaic_model gaussian -distance 80 -detpixels 40 -pixel 1.2 -fluence 1e26 -oversample 2 -polar 0.9 -twotheta 4 "
)


def largest_difference(a, b):
    return np.abs(a - b).max() / b.max()


@pytest.mark.parametrize(
    "flags",
    [
        "-beam_tilt 4 -7",
        "-phi 40 -spindle_axis 0 1 0.2",
        "-phi 40 -osc 2 -phisteps 9 -summation sampled -mosaic_domains 4",
    ],
)
def test_an_experiments_own_geometry_leaves_its_image_as_it_is(tmp_path, flags):
    e = nb.parse(FRAMED + flags)
    nb.write_image(tmp_path / "a.expt", e)
    again = e.with_geometry(tmp_path / "a.expt")
    assert largest_difference(nb.simulate(again, dtype="float64"), nb.simulate(e, dtype="float64")) < 1e-9


def test_a_spectrum_comes_along_the_beam_of_a_file(tmp_path):
    e = nb.parse(FRAMED + "-mosaic_domains 4")
    nb.write_image(tmp_path / "a.expt", e)
    rows = [[12300, 1], [12400, 2], [12450, 1]]
    before = nb.with_spectrum(e, rows, unit="eV").with_geometry(tmp_path / "a.expt")
    behind = nb.with_spectrum(e.with_geometry(tmp_path / "a.expt"), rows, unit="eV")
    assert np.allclose(before.beam.sources, behind.beam.sources, rtol=1e-12)


def test_a_detector_by_its_name_leaves_light_and_crystals_as_they_lie():
    def seen(e):
        return nb.simulate(e.with_detector("PILATUS3 300K", distance=90), dtype="float64")

    for flags in ("-phi 40 ", "-phi 40 -osc -2 -phisteps 3 -summation sampled -mosaic_domains 4 "):
        both = nb.parse(FRAMED + flags + "-more_crystal -40 15 70 0.4")
        second = both.replace(more_crystals=[], crystal=both.crystal.replace(misset=(-40, 15, 70)))
        parts = seen(both.replace(more_crystals=[])) + 0.4 * seen(second)
        assert largest_difference(seen(both), parts) < 1e-6
    e = nb.parse(FRAMED)
    placed = e.with_detector("PILATUS3 300K", distance=90)
    tilted = e.replace(beam=e.beam.replace(tilt=(4, -7)))
    beside = nb.simulate(placed.replace(beam=placed.beam.replace(tilt=(4, -7))), dtype="float64")
    assert largest_difference(seen(tilted), beside) < 1e-9
    turning = nb.parse(FRAMED + "-osc 0.5 -phisteps 7")
    assert turning.with_detector("PILATUS3 300K", distance=90).scan.oscillation == turning.scan.oscillation
    # Two rays, of which the second comes in beside the beam
    rays = [(-10, 0, 0, 1, 1), (-10, 0.1, 0.2, 1, 1)]
    e = e.replace(beam=e.beam.replace(sources=rays, wavelength=1))
    turned = e.with_detector("PILATUS3 300K", distance=90).beam
    e_axis = np.array(turned.polarization_axis)
    across = np.cross(turned.direction, e_axis)
    for (x, y, z, *_), source in zip(rays, turned.sources, strict=True):
        # In MOSFLM's frame the beam is x and the electric vector z.
        there = [np.dot(source[:3], axis) for axis in (turned.direction, across, e_axis)]
        assert np.allclose(there, (x, np.dot((x, y, z), np.cross((1, 0, 0), (0, 0, 1))), z), atol=1e-9)

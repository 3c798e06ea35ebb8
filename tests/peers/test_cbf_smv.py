"""CBF, SMV, TIFF and .poni beside dxtbx, fabio, pycbf and pyFAI."""

import json
import math

import numpy as np
import pytest

from peer_files import (SCAN, SHARED, counts, detectors, panel, position, read, read_error, refusal,
                        run, series, ten_points, turn, turned, write)

FLAT = ("square, centred", "off-centre", "beam off the panel")


def dxtbx_experiment(paths):
    factory = pytest.importorskip("dxtbx.model.experiment_list", reason="dxtbx is absent")
    experiments = factory.ExperimentListFactory.from_filenames([str(p) for p in paths])
    assert len(experiments) == 1
    return experiments[0]


def assert_positions(detector, case):
    assert len(detector) == len(case["panels"])
    for theirs, ours in zip(detector, case["panels"]):
        for fast, slow in ten_points(ours):
            # Without the depth of the sensor, which is a model and no position.
            mm = np.array([fast, slow]) * theirs.get_pixel_size()
            off = np.array(theirs.get_lab_coord(tuple(mm))) - position(ours, fast, slow)
            assert np.linalg.norm(off) < 1e-4 * ours["pixel"][0]
            assert np.allclose(theirs.get_pixel_size(), ours["pixel"], rtol=1e-9)


def assert_pixels(experiment, case, image=0, add=0):
    data = experiment.imageset.get_raw_data(image)
    assert len(data) == len(case["panels"])
    for theirs, ours in zip(data, counts(case, image)):
        assert np.array_equal(theirs.as_numpy_array(), ours + add)


def assert_scan_and_beam(experiment, case, images=1):
    scan = experiment.scan
    assert scan.get_image_range() == (SCAN["first"], SCAN["first"] + images - 1)
    assert np.allclose(scan.get_oscillation(), (SCAN["start"], SCAN["width"]), atol=1e-12)
    assert scan.get_exposure_times()[0] == SCAN["exposure"]
    assert np.allclose(experiment.goniometer.get_rotation_axis(), case["scan"]["axis"], atol=1e-12)
    assert experiment.beam.get_wavelength() == pytest.approx(case["wavelength"], rel=1e-10)
    assert np.allclose(experiment.beam.get_sample_to_source_direction(), (0, 0, 1), atol=1e-12)


# ---- CBF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", detectors())
def test_dxtbx_reads_the_geometry_and_the_pixels_of_a_cbf(name, tmp_path):
    case = series(detectors()[name])
    path = write(tmp_path / "image_00003.cbf", case)
    experiment = dxtbx_experiment([path])
    assert_positions(experiment.detector, case)
    assert_pixels(experiment, case)
    assert_scan_and_beam(experiment, case)
    for p in experiment.detector:
        assert p.get_trusted_range() == (-1, 60000)
    mini = experiment.imageset.get_format_class().__name__ == "FormatCBFMini"
    assert mini == (name in FLAT)
    if mini:
        assert experiment.detector[0].get_material() == "Si"
        assert experiment.detector[0].get_thickness() == pytest.approx(0.45)


@pytest.mark.parametrize("name", detectors())
def test_dxtbx_reads_stills_without_a_sensor_as_stills(name, tmp_path):
    panels = detectors()[name]
    for p in panels:
        p["thickness"] = 0
    case = series(panels, scan=False)
    experiment = dxtbx_experiment([write(tmp_path / "still_00001.cbf", case)])
    assert experiment.scan is None and experiment.goniometer is None
    assert_positions(experiment.detector, case)
    assert_pixels(experiment, case)


@pytest.mark.parametrize("name", ("off-centre", "tilted", "several panels, one tilted"))
def test_dxtbx_reads_a_sweep_from_one_command(name, tmp_path):
    case = series(detectors()[name], images=4)
    write(tmp_path / "sweep.cbf", case)
    files = sorted(tmp_path.glob("*"))
    assert [f.name for f in files] == [f"sweep_0000{i}.cbf" for i in (3, 4, 5, 6)]
    experiment = dxtbx_experiment(files)
    assert_scan_and_beam(experiment, case, images=4)
    assert_positions(experiment.detector, case)
    for image in range(4):
        assert_pixels(experiment, case, image)


def test_a_template_of_number_signs_names_the_images(tmp_path):
    case = series(detectors()["off-centre"], images=2)
    write(tmp_path / "a_####.cbf", case)
    assert sorted(f.name for f in tmp_path.glob("*")) == ["a_0003.cbf", "a_0004.cbf"]


def test_dxtbx_reads_the_groups_of_panels(tmp_path):
    arm, quad = turn((0, 1, 0), 30), turn((0.3, 1, 0.2), 17)
    case = series(detectors()["several panels, one tilted"])
    case["groups"] = [
        {"name": "arm", "origin": [1, 2, -3], "fast": list(arm[:, 0]), "slow": list(arm[:, 1])},
        {"name": "quad", "parent": 0, "origin": [5, 2, -3], "fast": list(quad[:, 0]),
         "slow": list(quad[:, 1])},
        {"origin": [0, 0, -50], "fast": [-1, 0, 0], "slow": [0, -1, 0]},
    ]
    for i, p in enumerate(case["panels"]):
        p["group"] = i
    path = write(tmp_path / "groups_00003.cbf", case)
    detector = dxtbx_experiment([path]).detector
    assert_positions(detector, case)
    nodes = {node.get_name(): node for node in detector.iter_preorder()}
    for i, name in enumerate(("GROUP_arm", "GROUP_quad", "GROUP_2")):
        for theirs, key in (("get_origin", "origin"), ("get_fast_axis", "fast"),
                            ("get_slow_axis", "slow")):
            assert np.allclose(getattr(nodes[name], theirs)(), case["groups"][i][key], atol=1e-10)
    geometry, _ = read(path, tmp_path)
    assert [g["name"] for g in geometry["groups"]] == ["DETECTOR_FRAME", "GROUP_arm", "GROUP_quad",
                                                       "GROUP_2"]
    assert [g["parent"] for g in geometry["groups"]] == [-1, 0, 1, 0]
    assert [p["group"] for p in geometry["panels"]] == [1, 2, 3]
    for ours, wanted in zip(geometry["groups"][1:], case["groups"]):
        for key in ("origin", "fast", "slow"):
            assert np.allclose(ours[key], wanted[key], atol=1e-10)


@pytest.mark.parametrize("name", detectors())
def test_our_reader_has_what_our_writer_was_given(name, tmp_path):
    case = series(detectors()[name], polarization=0.3)
    case["panels"][0]["masked"] = [[3, 9, 0, 90], [0, 50, 10, 12]]
    geometry, pixels = read(write(tmp_path / "image_00003.cbf", case), tmp_path)
    for ours, wanted, data, expected in zip(geometry["panels"], case["panels"], pixels,
                                            counts(case)):
        for key in ("origin", "fast", "slow", "pixel"):
            assert np.allclose(ours[key], wanted[key], rtol=1e-12, atol=1e-12)
        assert ours["size"] == wanted["size"]
        assert ours["saturation"] == 60000 and ours["underload"] == 0
        assert (ours["material"], ours["thickness"]) == ("Si", pytest.approx(0.45, rel=1e-12))
        assert np.array_equal(data, np.where(expected < 0, np.nan, expected), equal_nan=True)
    assert geometry["beam"]["wavelength"] == pytest.approx(case["wavelength"], rel=1e-14)
    assert geometry["beam"]["direction"] == [0, 0, -1]
    # imgCIF states the number of an image, mini-CBF leaves it to the file's name.
    first = 1 if name in FLAT else SCAN["first"]
    assert geometry["scan"] == {**SCAN, "first": first, "images": 1}
    assert geometry["notices"] == []


@pytest.mark.parametrize("name", [n for n in detectors() if n not in FLAT])
def test_pycbf_has_the_positions_of_an_imgcif(name, tmp_path):
    pycbf = pytest.importorskip("pycbf", reason="pycbf is absent")
    case = series(detectors()[name])
    path = write(tmp_path / "image_00003.cbf", case)
    handle = pycbf.cbf_handle_struct()
    handle.read_widefile(str(path).encode(), pycbf.MSG_DIGESTNOW)
    assert handle.get_wavelength() == pytest.approx(case["wavelength"], rel=1e-10)
    # The centre of the first pixel, or, where DIALS goes by it, its corner.
    first = 0.5 if len(case["panels"]) > 1 else 0
    for i, ours in enumerate(case["panels"]):
        detector = handle.construct_detector(i)
        for fast, slow in ten_points(ours):
            theirs = np.array(detector.get_pixel_coordinates_fs(fast - first, slow - first))
            off = theirs - position(ours, fast, slow)
            assert np.linalg.norm(off) < 1e-4 * ours["pixel"][0]
        detector.__swig_destroy__(detector)
    goniometer = handle.construct_goniometer()
    assert np.allclose(goniometer.get_rotation_axis(), (1, 0, 0))
    assert np.allclose(goniometer.get_rotation_range(), (SCAN["start"], SCAN["width"]))
    goniometer.__swig_destroy__(goniometer)


@pytest.mark.parametrize("name", [n for n in detectors() if "several" not in n])
def test_fabio_reads_the_pixels_of_a_cbf(name, tmp_path):
    fabio = pytest.importorskip("fabio", reason="fabio is absent")
    for scan in (True, False):
        case = series(detectors()[name], scan=scan)
        image = fabio.open(str(write(tmp_path / f"image_{scan:05d}.cbf", case)))
        assert np.array_equal(image.data, counts(case)[0])


@pytest.mark.parametrize("name", ("off-centre", "tilted"))
def test_counts_of_all_sizes_come_back(name, tmp_path):
    """Differences of one to four bytes, which others take apart as we do; fabio knows no longer ones."""
    fabio = pytest.importorskip("fabio", reason="fabio is absent")
    some = [0, 127, 0, 128, 0, -1, 32767, 0, 32768, -2, 2**31 - 1, -2, 2**31 - 1, 5]
    case = series(detectors()[name])
    case["panels"][0]["size"] = [14, 2]
    case["values"] = some + some[::-1]
    values = np.array(case["values"], np.int32).reshape(2, 14)
    ours = write(tmp_path / "ours_00003.cbf", case)
    assert np.array_equal(fabio.open(str(ours)).data, values)
    (data,) = dxtbx_experiment([ours]).imageset.get_raw_data(0)
    assert np.array_equal(data.as_numpy_array(), values)
    theirs = tmp_path / "theirs.cbf"
    fabio.cbfimage.CbfImage(data=values, header={}).write(str(theirs))
    for path in (ours, theirs):
        _, (pixels,) = read(path, tmp_path)
        assert np.array_equal(pixels, np.where(values < 0, np.nan, values), equal_nan=True)


def test_a_spindle_that_mini_cbf_cannot_say_is_written_as_an_axis(tmp_path):
    case = series(detectors()["off-centre"])
    case["scan"]["axis"] = [math.cos(0.1), 0, math.sin(0.1)]
    experiment = dxtbx_experiment([write(tmp_path / "image_00003.cbf", case)])
    assert_scan_and_beam(experiment, case)
    assert_positions(experiment.detector, case)


def test_a_tilted_pilatus_keeps_its_sensor_and_gaps(tmp_path):
    gaps = [[0, 487, 195, 212], [0, 487, 407, 424]]
    whole = panel(size=(487, 619), pixel=(0.172, 0.172), beam=(243.8, 326.7), masked=gaps)
    case = series([turned(whole, turn((1, 0, 0), 20))])
    experiment = dxtbx_experiment([write(tmp_path / "image_00003.cbf", case)])
    assert_positions(experiment.detector, case)
    assert_pixels(experiment, case)
    assert experiment.detector[0].get_material() == "Si"
    assert experiment.detector[0].get_thickness() == pytest.approx(0.45)
    assert len(experiment.detector[0].get_mask()) == 2


def test_a_name_of_a_real_detector_is_said_only_where_dials_takes_it(tmp_path):
    """dxtbx asserts the size of what is called a PILATUS or an EIGER."""
    gaps = [[0, 487, 195, 212], [0, 487, 407, 424]]
    whole = panel(size=(487, 619), pixel=(0.172, 0.172), masked=gaps)
    for panels, detector, known in (([whole], "PILATUS 300K", "FormatCBFMiniPilatus"),
                                    ([panel()], "PILATUS 300K", "FormatCBFMini"),
                                    ([panel()], "EIGER2 16M", "FormatCBFMini")):
        case = series(panels, detector=detector)
        path = write(tmp_path / f"{known}{len(list(tmp_path.iterdir()))}_00003.cbf", case)
        experiment = dxtbx_experiment([path])
        assert experiment.imageset.get_format_class().__name__ == known
        assert_positions(experiment.detector, case)
        assert_pixels(experiment, case)


def test_what_cbf_cannot_say_is_refused_with_a_format_that_can(tmp_path):
    path = tmp_path / "a.cbf"
    case = series(detectors()["several panels, one tilted"])
    case["panels"][1]["size"] = [60, 90]
    assert refusal(path, case) == (
        "DIALS reads panels of a CBF that differ in their number of pixels as if they did not; "
        "NXmx (.nxs) has them right")
    assert refusal(path, series([panel(pedestal=10)])) == (
        "CBF states no pedestal, and the counts have one; SMV (.img) does")
    assert refusal(path, series([panel()], counts=False)) == (
        "CBF holds integer counts that DIALS reads, not photons; NXmx (.nxs) holds them")


# ---- CBF of others -------------------------------------------------------------------------------


def assert_same_geometry(ours, experiment, tolerance=1e-9):
    assert len(ours["panels"]) == len(experiment.detector)
    for p, theirs in zip(ours["panels"], experiment.detector):
        assert np.allclose(p["origin"], theirs.get_origin(), atol=tolerance)
        assert np.allclose(p["fast"], theirs.get_fast_axis(), atol=tolerance)
        assert np.allclose(p["slow"], theirs.get_slow_axis(), atol=tolerance)
        assert np.allclose(p["pixel"], theirs.get_pixel_size(), atol=tolerance)
        assert tuple(p["size"]) == theirs.get_image_size()
    assert ours["beam"]["wavelength"] == pytest.approx(experiment.beam.get_wavelength(), abs=tolerance)
    source = experiment.beam.get_sample_to_source_direction()
    assert np.allclose(-np.array(ours["beam"]["direction"]), source, atol=tolerance)
    if experiment.scan is not None and experiment.scan.get_oscillation()[1] != 0:
        scan = ours["scan"]
        assert np.allclose((scan["start"], scan["width"]), experiment.scan.get_oscillation(),
                           atol=tolerance)
        axis = np.array(experiment.goniometer.get_setting_rotation()).reshape(3, 3) @ np.array(
            experiment.goniometer.get_rotation_axis_datum())
        assert np.allclose(scan["axis"], axis, atol=tolerance)


def test_a_real_pilatus_on_a_two_theta_arm_has_dxtbx_geometry_and_fabio_pixels(tmp_path):
    real = SHARED / "pilatus300k-one-degree.cbf"
    if not real.exists():
        pytest.skip(f"{real} is absent")
    path = tmp_path / "image_0001.cbf"  # dxtbx wants a number in the name
    path.symlink_to(real)
    fabio = pytest.importorskip("fabio", reason="fabio is absent")
    geometry, (pixels,) = read(path, tmp_path)
    experiment = dxtbx_experiment([path])
    assert_same_geometry(geometry, experiment, 1e-6)
    theirs = fabio.open(str(path)).data
    assert np.array_equal(pixels, np.where(theirs < 0, np.nan, theirs), equal_nan=True)
    (p,) = geometry["panels"]
    assert (p["material"], p["thickness"], p["saturation"]) == ("Si", pytest.approx(0.32), 1221554)
    assert geometry["detector_name"] == "Pilatus300K"
    assert geometry["scan"]["exposure"] == 1


def test_our_reader_has_a_mini_cbf_of_dxtbx(tmp_path):
    mini = pytest.importorskip("dxtbx.format.FormatCBFMini", reason="dxtbx is absent")
    flex = pytest.importorskip("scitbx.array_family", reason="dxtbx is absent").flex
    experiment = dxtbx_experiment([write(tmp_path / "a_00003.cbf",
                                         series(detectors()["off-centre"]))])
    path = tmp_path / "theirs_00003.cbf"
    values = np.arange(-2, 120 * 90 - 2, dtype=np.int32).reshape(90, 120) * 37
    mini.FormatCBFMini.as_file(experiment.detector, experiment.beam, experiment.goniometer,
                               experiment.scan, flex.int(values), path)
    geometry, (pixels,) = read(path, tmp_path)
    assert_same_geometry(geometry, dxtbx_experiment([path]))
    assert np.array_equal(pixels, np.where(values < 0, np.nan, values), equal_nan=True)


def test_our_reader_has_the_panels_of_an_imgcif_of_dxtbx_and_names_its_compression(tmp_path):
    writer = pytest.importorskip("dxtbx.format.cbf_writer", reason="dxtbx is absent")
    pycbf = pytest.importorskip("pycbf", reason="pycbf is absent")
    panels = detectors()["several panels, one tilted"]
    for p in panels:
        p["thickness"] = 0
    source = write(tmp_path / "a_00001.cbf", series(panels, scan=False))
    experiment = dxtbx_experiment([source])
    full = writer.FullCBFWriter(imageset=experiment.imageset)
    packed = tmp_path / "packed.cbf"
    full.write_cbf(str(packed))
    assert read_error(packed) == (
        f"{packed}: its pixels are compressed by \"x-CBF_PACKED\", and only x-CBF_BYTE_OFFSET and "
        "x-CBF_NONE can be read; CBFlib's convert_image and fabio convert them")
    for name, compression in (("offset", pycbf.CBF_BYTE_OFFSET), ("plain", pycbf.CBF_NONE)):
        path = tmp_path / f"{name}.cbf"
        handle = full.get_cbf_handle(header_only=True)
        add_pixels(pycbf, handle, counts({"panels": panels}), compression)
        handle.write_widefile(str(path).encode(), pycbf.CBF,
                              pycbf.MIME_HEADERS | pycbf.MSG_DIGEST | pycbf.PAD_4K, 0)
        geometry, pixels = read(path, tmp_path)
        assert_same_geometry(geometry, experiment)
        for ours, wanted in zip(pixels, counts({"panels": panels})):
            assert np.array_equal(ours, wanted)


def add_pixels(pycbf, handle, panels, compression):
    handle.add_category("array_structure",
                        ["id", "encoding_type", "compression_type", "byte_order"])
    names = ["ARRAY_PANEL_%d" % i for i in range(len(panels))]
    for name in names:
        handle.add_row([name, "signed 32-bit integer", "byte_offsets", "little_endian"])
    handle.add_category("array_data", ["array_id", "binary_id", "data"])
    for i, (name, data) in enumerate(zip(names, panels)):
        handle.add_row([name, str(i + 1)])
        slow, fast = data.shape
        handle.set_integerarray_wdims_fs(compression, i + 1, data.astype(np.int32).tobytes(), 4, 1,
                                         data.size, b"little_endian", fast, slow, 1, 0)


def test_a_negative_increment_turns_the_axis_over(tmp_path):
    """dxtbx reads it as a positive one about the axis as it stands."""
    case = series(detectors()["tilted"])
    path = write(tmp_path / "a_00003.cbf", case)
    text = path.read_bytes().replace(b"SCAN SPINDLE 12.5 0.1 0.1", b"SCAN SPINDLE 12.5 -.1 -.1")
    path.write_bytes(text)
    geometry, _ = read(path, tmp_path)
    assert geometry["scan"] == {**SCAN, "axis": [-1, 0, 0], "start": -12.5, "images": 1}


# ---- TIFF ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ("uint8", "uint16", "uint32", "int16", "int32", "float32"))
def test_our_reader_has_the_pixels_of_a_tiff_of_fabio(kind, tmp_path):
    fabio = pytest.importorskip("fabio", reason="fabio is absent")
    values = (np.arange(33 * 21).reshape(21, 33) % 250).astype(kind)
    path = tmp_path / "theirs.tif"
    fabio.tifimage.TifImage(data=values).write(str(path))
    geometry, (pixels,) = read(path, tmp_path)
    assert np.array_equal(pixels, values)
    assert geometry["notices"] == [
        "the header holds no comment of a DECTRIS detector (ImageDescription), so it does not say "
        "where the detector is"]


# ---- SMV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLAT)
def test_dxtbx_reads_the_geometry_and_the_pixels_of_an_smv(name, tmp_path):
    panels = detectors()[name]
    panels[0].update(thickness=0, gain=1.7)
    case = series(panels, images=2)
    write(tmp_path / "image_###.img", case)
    experiment = dxtbx_experiment([tmp_path / "image_003.img", tmp_path / "image_004.img"])
    assert experiment.imageset.get_format_class().__name__ == "FormatSMVADSCSN"
    assert_positions(experiment.detector, case)
    assert_scan_and_beam(experiment, case, images=2)
    for image in range(2):
        assert_pixels(experiment, case, image, add=40)
    theirs = experiment.detector[0]
    assert theirs.get_pedestal() == 40 and theirs.get_gain() == 1.7
    assert theirs.get_trusted_range() == (-41, 65495)
    assert experiment.scan.get_epochs()[0] == 1795891808


def test_fabio_and_our_reader_have_the_pixels_of_an_smv(tmp_path):
    fabio = pytest.importorskip("fabio", reason="fabio is absent")
    case = series([panel(beam=(23.5, 71.25), thickness=0, masked=[[3, 9, 0, 90]])])
    path = write(tmp_path / "image_003.img", case)
    raw = np.where(counts(case)[0] < 0, 0, counts(case)[0] + 40)
    assert np.array_equal(fabio.open(str(path)).data, raw)
    geometry, (pixels,) = read(path, tmp_path)
    assert np.array_equal(pixels, np.where(raw == 0, np.nan, raw), equal_nan=True)
    (p,) = geometry["panels"]
    assert p["pedestal"] == 40
    for key in ("origin", "fast", "slow", "pixel"):
        assert np.allclose(p[key], case["panels"][0][key], rtol=1e-12, atol=1e-12)
    assert geometry["scan"] == {**SCAN, "first": 1, "images": 1}


def test_what_smv_cannot_say_is_refused_with_a_format_that_can(tmp_path):
    path = tmp_path / "a.img"
    tilted = ("SMV is read as a panel square to the beam with its rows along the spindle, and this "
              "one is tilted, turned or mirrored; NXmx (.nxs) and CBF (.cbf) state its axes")
    for name in ("tilted", "two-theta"):
        assert refusal(path, series(detectors()[name])) == tilted
    mirrored = panel()
    mirrored["slow"] = [0, 1, 0]
    assert refusal(path, series([mirrored])) == tilted
    assert refusal(path, series(detectors()["several panels, one tilted"])) == (
        "SMV holds one panel, and there are 3; NXmx (.nxs) and CBF (.cbf) hold them")
    assert refusal(path, series([panel(pixel=(0.1, 0.2))])) == (
        "SMV states one size of pixels, and these are not square; NXmx (.nxs) and CBF (.cbf) state "
        "both")


PIXEL, FAST, SLOW = 0.1, 600, 400


def simulate(flags, path):
    """A noise image of -corrected; the beam is at fast 250.5, slow 120.25 unless flags say else."""
    import os
    import subprocess
    program = os.environ.get("NABLA_PROGRAM")
    if not program:
        pytest.skip("NABLA_PROGRAM does not name the program that the test runs")
    subprocess.run([program, "-corrected", "-cell", "50", "60", "70", "90", "90", "90", "-N", "5",
                    "-default_F", "100", "-oversample", "1", "-lambda", "1.1", "-distance", "100",
                    "-detpixels_f", str(FAST), "-detpixels_s", str(SLOW), "-pixel", str(PIXEL),
                    "-phi", "3", "-osc", "0.5", "-seed", "1", "-roi", "0", "9", "0", "9",
                    *flags.split(), "-noisefile", str(path)], check=True, capture_output=True)
    return path


def named(convention, fast, slow):
    """-Xbeam and -Ybeam of a spot in pixels."""
    return {
        "mosflm": f"-mosflm -Xbeam {PIXEL * (slow - 0.5):.6f} -Ybeam {PIXEL * (fast - 0.5):.6f}",
        "denzo": f"-denzo -Xbeam {PIXEL * slow:.6f} -Ybeam {PIXEL * fast:.6f}",
        "xds": f"-xds -Xbeam {PIXEL * fast:.6f} -Ybeam {PIXEL * slow:.6f}",
        "adxv": f"-adxv -Xbeam {PIXEL * fast:.6f} -Ybeam {PIXEL * (SLOW - slow):.6f}",
        "dials": f"-dials -Xbeam {PIXEL * fast:.6f} -Ybeam {PIXEL * slow:.6f}",
    }[convention]


@pytest.mark.parametrize("spot", ((300, 200), (250.5, 120.25), (-35, 460)))
@pytest.mark.parametrize("convention", ("mosflm", "denzo", "xds"))
def test_dxtbx_has_the_beam_of_a_corrected_noise_image(convention, spot, tmp_path):
    """Where it had it 1.4 to 280 pixels off, by BEAMLINE=fake and the convention's numbers."""
    path = simulate(named(convention, *spot), tmp_path / "noise_001.img")
    experiment = dxtbx_experiment([path])
    detector, beam = experiment.detector, experiment.beam
    assert np.allclose(detector[0].get_beam_centre_px(beam.get_s0()), spot, atol=1e-6)
    assert detector[0].get_distance() == pytest.approx(100)
    assert detector[0].get_pedestal() == 40 and detector[0].get_gain() == 1
    assert beam.get_wavelength() == pytest.approx(1.1)
    assert np.allclose(experiment.scan.get_oscillation(), (3, 0.5))
    geometry, _ = read(path, tmp_path)
    assert_same_geometry(geometry, experiment)


@pytest.mark.parametrize("flags", (
    named("mosflm", 250.5, 120.25) + " -twotheta 15", named("xds", 250.5, 120.25) + " -twotheta 15",
    named("mosflm", 250.5, 120.25) + " -detector_rotx 1 -detector_roty 2 -detector_rotz 3",
    named("xds", 250.5, 120.25) + " -detector_rotx 1 -detector_roty 2 -detector_rotz 3",
    named("adxv", 250.5, 120.25), named("dials", 250.5, 120.25),
    named("mosflm", 250.5, 120.25) + " -curved_det"))
def test_dxtbx_has_no_geometry_of_a_corrected_image_that_it_would_misread(flags, tmp_path):
    registry = pytest.importorskip("dxtbx.format.Registry", reason="dxtbx is absent")
    path = simulate(flags, tmp_path / "noise_001.img")
    known = registry.get_format_class_for_file(str(path))
    assert known is None or known.__name__ == "FormatSMV"


DTREK = """{
HEADER_BYTES=  4096;
DIM=2;
SIZE1=120;
SIZE2=90;
BYTE_ORDER=little_endian;
Data_type=long int;
DETECTOR_NUMBER=1;
DETECTOR_NAMES=CCD_;
DETECTOR_TYPE=Pilatus 300K;
CCD_DETECTOR_DESCRIPTION=PILATUS;
CCD_DETECTOR_DIMENSIONS=120 90;
CCD_DETECTOR_SIZE=20.64 15.48;
CCD_DETECTOR_VECTORS=1 0 0 0 1 0;
CCD_GONIO_NUM_VALUES=6;
CCD_GONIO_NAMES=RotZ RotX/Swing RotY TransX TransY TransZ/Dist;
CCD_GONIO_UNITS=deg deg deg mm mm mm;
CCD_GONIO_VALUES=1.5 -20.25 0.75 0.5 -0.25 -81.5;
CCD_GONIO_VECTORS=0 0 1 -1 0 0 0 1 0 1 0 0 0 1 0 0 0 1;
CCD_SPATIAL_BEAM_POSITION=61.5 44.25;
CCD_SPATIAL_DISTORTION_INFO=61.5 44.25 0.172 0.172;
CCD_SPATIAL_DISTORTION_TYPE=Simple_spatial;
CCD_SPATIAL_DISTORTION_VECTORS=0 -1 1 0;
CRYSTAL_GONIO_NUM_VALUES=3;
CRYSTAL_GONIO_NAMES=Omega Chi Phi;
CRYSTAL_GONIO_UNITS=deg deg deg;
CRYSTAL_GONIO_VALUES=0 45 0;
ROTATION=10 10.5 0.5 4 0 0 0 0 0 0;
ROTATION_AXIS_NAME=Omega;
ROTATION_VECTOR=1 0 0;
SOURCE_VECTORS=0 0 1 0 1 0;
SOURCE_WAVELENGTH=1 0.71073;
SCAN_WAVELENGTH=0.71073;
SOURCE_POLARZ=0.5 1 0 0;
DTREK_DATE_TIME=28-Nov-2026 18:50:08;
SATURATED_VALUE=1048575;
}
"""


def test_a_header_of_dtrek_has_dxtbx_geometry(tmp_path):
    path = tmp_path / "dtrek_0001.img"
    values = np.arange(120 * 90, dtype=np.int32).reshape(90, 120) * 100
    path.write_bytes(DTREK.ljust(4096).encode() + values.tobytes())
    experiment = dxtbx_experiment([path])
    assert "Rigaku" in experiment.imageset.get_format_class().__name__
    geometry, (pixels,) = read(path, tmp_path)
    assert_same_geometry(geometry, experiment, 1e-10)
    assert np.array_equal(pixels, values)
    assert geometry["panels"][0]["saturation"] == 1048575
    assert geometry["scan"]["exposure"] == 4


# ---- .poni ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in detectors() if "several" not in n] + ["from behind"])
def test_pyfai_has_the_angles_and_polarization_of_a_poni(name, tmp_path):
    pyfai = pytest.importorskip("pyFAI", reason="pyFAI is absent")
    if name == "from behind":
        p = turned(panel(), turn((0.2, 1, 0.1), 8))
        p["slow"] = list(-np.array(p["slow"]))
        panels = [p]
    else:
        panels = detectors()[name]
    case = series(panels)
    ai = pyfai.load(str(write(tmp_path / "a.poni", case, "poni")))
    assert ai.wavelength == pytest.approx(case["wavelength"] * 1e-10, rel=1e-12)
    (p,) = panels
    assert tuple(ai.detector.max_shape) == (p["size"][1], p["size"][0])
    x, y = [], []
    for fast, slow in ten_points(p):
        # pyFAI's indices are of centres.
        x.append(slow - 0.5)
        y.append(fast - 0.5)
    two_theta = ai.tth(np.array(x), np.array(y))
    chi = ai.chi(np.array(x), np.array(y))
    for (fast, slow), ours, azimuth in zip(ten_points(p), two_theta, chi):
        r = position(p, fast, slow)
        expected = math.atan2(math.hypot(r[0], r[1]), -r[2])
        pixel = p["pixel"][0] / np.linalg.norm(r)
        assert abs(ours - expected) < 1e-4 * pixel
        # Polarization goes with the squared cosine to its plane, x.
        assert math.cos(2 * azimuth) == pytest.approx(math.cos(2 * math.atan2(r[1], r[0])), abs=1e-7)


def test_a_poni_holds_one_panel(tmp_path):
    made = run("poni", tmp_path / "a.poni",
               stdin=json.dumps(series(detectors()["several panels, one tilted"])))
    assert made.returncode == 1
    assert made.stderr.strip() == (f"{tmp_path}/a.poni: a .poni holds one panel, and there are 3; an "
                                   ".expt file holds them")

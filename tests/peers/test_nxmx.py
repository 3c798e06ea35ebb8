"""NXmx beside DIALS' library (dxtbx), fabio and h5py: they read what is written here, and files laid out as others write
them are read here as dxtbx reads them."""

import json
import os
import subprocess

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
DRIVER = os.environ.get("NABLA_NXMX_DRIVER")
pytestmark = pytest.mark.skipif(not DRIVER, reason="NABLA_NXMX_DRIVER does not name the driver that tests build")


@pytest.fixture(scope="session")
def dxtbx():
    return pytest.importorskip("dxtbx.model.experiment_list", reason="dxtbx is not installed")


@pytest.fixture(scope="session")
def fabio():
    return pytest.importorskip("fabio", reason="fabio is not installed")


def turned(axis, degrees):
    """The matrix of a rotation."""
    a = np.asarray(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    t = np.radians(degrees)
    return np.eye(3) + np.sin(t) * k + (1 - np.cos(t)) * k @ k


def panel(size, origin, tilt=np.eye(3), pixel=0.075, **more):
    axes = tilt @ np.diag([1, -1, -1])
    return {"size": list(size), "pixel": [pixel, pixel], "origin": list(tilt @ np.asarray(origin, float)),
            "fast": list(axes[:, 0]), "slow": list(axes[:, 1]), "underload": 0, "saturation": 60000, **more}


SCAN = {"axis": [1, 0, 0], "start": -12.5, "width": 0.2, "exposure": 0.05}

SERIES = {
    "flat": {"panels": [panel((60, 40), (-2.2, 1.4, -100))], "wavelength": 0.97625},
    "two-theta 20": {"panels": [panel((60, 40), (-2.2, 1.4, -100), turned([1, 0, 0], 20), material="CdTe", thickness=1.0)],
                     "wavelength": 0.6894, "images": 3, "scan": SCAN},
    "beam off the panel": {"panels": [panel((60, 40), (5.5, 31.4, -250), turned([1, 2, 3], 7), pixel=0.172)],
                           "wavelength": 1.2, "images": 1, "scan": SCAN},
    "masked": {"panels": [panel((60, 40), (-2.2, 1.4, -100), masked=[[20, 30, 0, 40], [0, 60, 10, 12]])], "wavelength": 1.0},
    "three, one tilted": {"panels": [panel((60, 40), (-6, 1.4, -100), masked=[[1, 3, 2, 9]]), panel((60, 40), (0.3, 1.4, -100)),
                                     panel((60, 20), (-2.2, 6.4, -100), turned([3, -1, 0.5], 35))],
                          "wavelength": 1.1, "images": 2, "scan": {**SCAN, "axis": [0.8, 0.6, 0]}},
    "of three widths": {"panels": [panel((60, 40), (-6, 1.4, -100), masked=[[1, 3, 2, 9]]), panel((31, 17), (0.3, 1.4, -100)),
                                   panel((5, 50), (-2.2, 6.4, -90), turned([3, -1, 0.5], 35))], "wavelength": 1.1},
    "sixteen in groups": {"panels": [panel((32, 16), (3 * (i % 4), 2 * (i // 4), -80), turned([0, 0, 1], 90 * (i % 4)), group=i % 4)
                                     for i in range(16)],
                          "groups": [{"name": "quad%d" % i, "parent": -1, "origin": [i, -i, -80],
                                      "fast": list(turned([0, 0, 1], 90 * i)[:, 0]), "slow": list(turned([0, 0, 1], 90 * i)[:, 1])}
                                     for i in range(4)], "wavelength": 1.3},
    "stills with wavelengths": {"panels": [panel((60, 40), (-2.2, 1.4, -100))], "wavelength": 1.0, "images": 3,
                                "wavelengths": [1.01, 1.02, 1.03]},
    "spectrum": {"panels": [panel((60, 40), (-2.2, 1.4, -100), material="GaAs")], "wavelength": 1.005,
                 "spectrum": [1.0, 1.01], "weights": [1, 1]},
    "photons": {"panels": [panel((60, 40), (-2.2, 1.4, -100), masked=[[20, 30, 0, 40]])], "wavelength": 1.0, "counts": False},
}


def write(path, series):
    subprocess.run([DRIVER, "write", path], input=json.dumps(series), text=True, check=True)
    return path


def read(path, image=0):
    """Our geometry of one image, with the pixels of each panel."""
    pixels = str(path) + ".pixels"
    said = subprocess.run([DRIVER, "read", path, str(image), pixels], text=True, capture_output=True)
    assert said.returncode == 0, said.stderr
    ours = json.loads(said.stdout)
    values, begin = np.fromfile(pixels), 0
    for p in ours["panels"]:
        fast, slow = p["size"]
        p["pixels"] = values[begin:begin + fast * slow].reshape(slow, fast)
        begin += fast * slow
    return ours


def refused(path):
    said = subprocess.run([DRIVER, "geometry", path], text=True, capture_output=True)
    assert said.returncode == 3, said.stdout
    return said.stderr


def counts(series, image):
    """What the driver put into the pixels, panel by panel; masked pixels are NaN."""
    begin, panels = 0, []
    for p in series["panels"]:
        fast, slow = p["size"]
        index = np.arange(begin, begin + fast * slow, dtype=np.uint64)
        values = (((index * 2654435761) % 2**32) >> np.uint64(20)).astype(float) + image
        begin += fast * slow
        values = values.reshape(slow, fast) * (1 if series.get("counts", True) else 0.25)
        for f0, f1, s0, s1 in p.get("masked", []):
            values[s0:s1, f0:f1] = np.nan
        panels.append(values)
    return panels


def ten_pixels(size):
    return np.random.default_rng(5).uniform(0, 1, (10, 2)) * size


def position(p, pixel):
    """In the laboratory, of a point in pixels of a panel of ours."""
    fast, slow = (pixel * p["pixel"])
    return np.asarray(p["origin"]) + fast * np.asarray(p["fast"]) + slow * np.asarray(p["slow"])


def loaded(dxtbx, path):
    return dxtbx.ExperimentListFactory.from_filenames([str(path)])


def expect_same_panels(theirs, ours, tolerance=1e-4):
    """Positions of ten pixels on each panel, by dxtbx and ours, in pixels; without parallax, which is the sensor's."""
    assert len(theirs) == len(ours)
    for t, o in zip(theirs, ours):
        assert list(t.get_image_size()) == o["size"]
        for pixel in ten_pixels(o["size"]):
            mm = [pixel[0] * t.get_pixel_size()[0], pixel[1] * t.get_pixel_size()[1]]
            assert np.linalg.norm(np.asarray(t.get_lab_coord(mm)) - position(o, pixel)) < tolerance * min(o["pixel"])


@pytest.mark.parametrize("name", SERIES)
def test_dxtbx_reads_what_is_written(name, dxtbx, tmp_path):
    series = SERIES[name]
    experiments = loaded(dxtbx, write(tmp_path / "image.nxs", series))
    images = series.get("images", 1)
    assert len(experiments) == (1 if "scan" in series else images)
    for i in range(images):
        experiment = experiments[0 if "scan" in series else i]
        imageset, at = experiment.imageset, i if "scan" in series else 0
        detector = experiment.detector
        expect_same_panels(detector, series["panels"])
        for t, p in zip(detector, series["panels"]):
            assert t.get_trusted_range() == (-1, 60000)  # of dxtbx 3.11, whose lower end is not part of it
            assert t.get_material() == p.get("material", "Si")
            assert t.get_thickness() == pytest.approx(p.get("thickness", 0.45), rel=1e-12)
        for raw, mask, wanted in zip(imageset.get_raw_data(at), imageset.get_mask(at), counts(series, i)):
            good = np.isfinite(wanted)
            assert np.array_equal(mask.as_numpy_array(), good)
            assert np.array_equal(raw.as_numpy_array()[good], wanted[good])
            assert (raw.as_numpy_array()[~good] < 0).all()
        wavelength = series.get("wavelengths", [series["wavelength"]] * images)[i]
        assert imageset.get_beam(at).get_wavelength() == pytest.approx(wavelength, rel=1e-12)
        assert experiment.beam.get_sample_to_source_direction() == (0, 0, 1)
    if "scan" in series:
        scan = experiments[0].scan
        assert scan.get_image_range() == (1, images)
        assert scan.get_oscillation() == pytest.approx((SCAN["start"], SCAN["width"]), abs=1e-10)
        assert list(scan.get_exposure_times()) == [SCAN["exposure"]] * images
        assert np.allclose(experiments[0].goniometer.get_rotation_axis(), series["scan"]["axis"], atol=1e-12)
    else:
        assert all(e.scan is None and e.goniometer is None for e in experiments)


@pytest.mark.parametrize("name", SERIES)
def test_what_is_written_is_read_again(name, tmp_path):
    series = SERIES[name]
    path = write(tmp_path / "image.nxs", series)
    for i in range(series.get("images", 1)):
        ours = read(path, i)
        for p, q, wanted in zip(ours["panels"], series["panels"], counts(series, i)):
            for key in ("origin", "fast", "slow", "pixel"):
                assert np.allclose(p[key], q[key], rtol=0, atol=1e-12)
            assert np.array_equal(p["pixels"], wanted, equal_nan=True)


@pytest.mark.parametrize("name", SERIES)
def test_fabio_and_h5py_read_the_pixels(name, fabio, tmp_path):
    series = SERIES[name]
    path = write(tmp_path / "image.h5", series)
    image = fabio.open(str(path))
    assert image.nframes == series.get("images", 1)
    with h5py.File(path) as file:
        assert file["entry/data"].attrs["signal"] == b"data"
        for i in range(image.nframes):
            # getframe() of a file of one image is the next file.
            data = image.data if image.nframes == 1 else image.getframe(i).data
            assert np.array_equal(data, file["entry/data/data"][i])
            row = 0
            for p, wanted in zip(series["panels"], counts(series, i)):
                fast, slow = p["size"]
                ours = data[row:row + slow, :fast]
                assert np.array_equal(ours[np.isfinite(wanted)], wanted[np.isfinite(wanted)])
                assert (data[row:row + slow, fast:] == -1).all()
                row += slow


# ---- Files that others write, laid out with h5py ----------------------------------------------------------------------


def axis(group, name, value, kind, vector, depends_on, units=None, **more):
    made = group.create_dataset(name, data=value)
    made.attrs["transformation_type"] = kind
    made.attrs["vector"] = np.asarray(vector, float)
    made.attrs["depends_on"] = depends_on
    made.attrs["units"] = units or ("mm" if kind == "translation" else "deg")
    for key, attribute in more.items():
        made.attrs[key] = attribute
    return made


def groups(file):
    """The groups that every file has, by their names."""
    made = {"": file}
    for path, kind in (("entry", "NXentry"), ("entry/data", "NXdata"), ("entry/instrument", "NXinstrument"),
                       ("entry/instrument/beam", "NXbeam"), ("entry/instrument/detector", "NXdetector"),
                       ("entry/instrument/detector/transformations", "NXtransformations"), ("entry/sample", "NXsample"),
                       ("entry/sample/transformations", "NXtransformations")):
        made[path.split("entry/")[-1].split("instrument/")[-1]] = file.create_group(path)
        file[path].attrs["NX_class"] = np.bytes_(kind)
    file["entry/definition"] = np.bytes_("NXmx")
    file["entry/instrument/beam/incident_wavelength"] = 0.9763
    file["entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
    file["entry/sample/depends_on"] = np.bytes_(".")
    file["entry/instrument/detector/sensor_material"] = "Silicon"
    file["entry/instrument/detector/sensor_thickness"] = 4.5e-4
    file["entry/instrument/detector/sensor_thickness"].attrs["units"] = np.bytes_("m")
    return made


def nexgen_like(path, two_theta=0, images=5, fast_offset=None, module_offset=(), z=212.5):
    """The tree of nexgen for an EIGER on an arm: names and units as there, five images behind a link and a virtual data
    set, a goniometer of three axes of which omega scans."""
    with h5py.File(str(path).replace(".nxs", "_000001.h5"), "w") as file:
        data = np.random.default_rng(3).poisson(3, (images, 22, 30)).astype("u2")
        data[:, :, 10:12] = 65535
        data[:, 3, 3] = 65534
        file.create_dataset("data", data=data, chunks=(1, 22, 30), compression="gzip", shuffle=True)
    with h5py.File(path, "w") as file:
        g = groups(file)
        name = str(path).replace(".nxs", "_000001.h5").split("/")[-1]
        g["data"]["data_000001"] = h5py.ExternalLink(name, "data")
        layout = h5py.VirtualLayout((images, 22, 30), "u2")
        layout[:] = h5py.VirtualSource(name, "data", (images, 22, 30))
        g["data"].create_virtual_dataset("data", layout)
        g["data"].attrs["signal"] = "data"
        d = g["detector"]
        d["description"] = np.bytes_("Eiger 2X")
        d["underload_value"], d["saturation_value"] = 0, 46051
        d["bit_depth_readout"] = 16
        d["beam_center_x"], d["beam_center_y"] = 14.2, 10.1
        mask = np.zeros((22, 30), "i4")
        mask[:, 10:12] = 1
        d.create_dataset("pixel_mask", data=mask)
        d["frame_time"] = 0.002
        d["frame_time"].attrs["units"] = "s"
        t = d["transformations"]
        base = "/entry/instrument/detector/transformations/"
        axis(t, "two_theta", np.array([two_theta]), "rotation", [-1, 0, 0], ".")
        axis(t, "det_z", np.array([z]), "translation", [0, 0, 1], base + "two_theta", offset=[0.1, 0, 0], offset_units="mm")
        m = d.create_group("module")
        m.attrs["NX_class"] = "NXdetector_module"
        m["data_origin"], m["data_size"], m["data_stride"] = [0, 0], [22, 30], [1, 1]
        axis(m, "module_offset", np.array([0.0]), "translation", [1, 0, 0], base + "det_z",
             **({"offset": np.asarray(module_offset, float), "offset_units": "m"} if len(module_offset) else {}))
        for key, vector in (("fast_pixel_direction", [-1, 0, 0]), ("slow_pixel_direction", [0, -1, 0])):
            axis(m, key, 7.5e-5, "translation", vector, "/entry/instrument/detector/module/module_offset", "m",
                 offset=np.zeros(3) if fast_offset is None else np.asarray(fast_offset, float), offset_units="mm")
        t = g["transformations"] = file["entry/sample/transformations"]
        base = "/entry/sample/transformations/"
        omega = 90 + 0.1 * np.arange(images)
        axis(t, "omega", omega, "rotation", [-1, 0, 0], ".")
        t["omega_end"] = omega + 0.1
        axis(t, "kappa", np.array([30.0]), "rotation", [-0.642788, -0.766044, 0], base + "omega")
        axis(t, "phi", np.array([5.0]), "rotation", [-1, 0, 0], base + "kappa")
        del file["entry/sample/depends_on"]
        file["entry/sample/depends_on"] = np.bytes_(base + "phi")
    return path


def compare(dxtbx, path):
    """Geometry, pixels, mask and scan of every image, by dxtbx and by us."""
    experiments = loaded(dxtbx, path)
    imageset, sweep = experiments[0].imageset, experiments[0].scan is not None
    images = len(imageset) if sweep else len(experiments)
    for i in range(images):
        ours = read(path, i)
        experiment = experiments[0 if sweep else i]
        imageset, at = experiment.imageset, i if sweep else 0
        expect_same_panels(experiment.detector, ours["panels"])
        assert ours["images"] == images
        for raw, mask, p in zip(imageset.get_raw_data(at), imageset.get_mask(at), ours["panels"]):
            good = mask.as_numpy_array()
            assert np.array_equal(p["pixels"][good], raw.as_numpy_array()[good])
            overloads = raw.as_numpy_array() >= (p["saturation"] if p["saturation"] is not None else np.inf)
            assert np.isnan(p["pixels"][~good & ~overloads]).all()
        assert ours["beam"]["wavelength"] == pytest.approx(imageset.get_beam(at).get_wavelength(), rel=1e-12)
        if sweep:
            scan = experiment.scan
            assert ours["scan"]["start"] == pytest.approx(scan.get_angle_from_array_index(i), abs=1e-9)
            assert ours["scan"]["width"] == pytest.approx(scan.get_oscillation()[1], abs=1e-9)
            assert ours["scan"]["exposure"] == pytest.approx(scan.get_exposure_times()[0])
            gonio = experiment.goniometer
            setting = np.array(gonio.get_setting_rotation()).reshape(3, 3)
            assert np.allclose(setting @ gonio.get_rotation_axis_datum(), ours["scan"]["axis"], atol=1e-9)
        else:
            assert "scan" not in ours
    return ours


@pytest.mark.parametrize("two_theta", [0, 20, -35.5])
def test_a_tree_of_nexgen_is_read_as_dxtbx_reads_it(two_theta, dxtbx, tmp_path):
    ours = compare(dxtbx, nexgen_like(tmp_path / "x.nxs", two_theta, module_offset=[1.1e-3, 0.9e-3, 0]))
    assert ours["detector_name"] == "Eiger 2X" and ours["groups"] == []


def test_a_real_master_of_nexgen_would_be_refused_without_its_images(tmp_path):
    path = nexgen_like(tmp_path / "x.nxs", module_offset=[1e-3, 1e-3, 0])
    (tmp_path / "x_000001.h5").unlink()
    assert "x_000001.h5" in subprocess.run([DRIVER, "read", path, "0", tmp_path / "p"], text=True, capture_output=True).stderr


def test_early_eiger_files_are_placed_by_their_beam_centre(tmp_path):
    """dxtbx of 2023 and later does this; the older one leaves the corner in the beam."""
    path = nexgen_like(tmp_path / "x.nxs")
    with h5py.File(path, "a") as file:
        file["entry/instrument/detector/transformations/det_z"].attrs["offset"] = np.zeros(3)
    ours = read(path)
    assert ours["panels"][0]["origin"] == pytest.approx([-14.2 * 0.075, 10.1 * 0.075, -212.5])
    assert any("beam_center_x" in notice for notice in ours["notices"])


def test_a_panel_upstream_is_moved_as_dxtbx_moves_it(dxtbx, tmp_path):
    ours = compare(dxtbx, nexgen_like(tmp_path / "x.nxs", z=-100.0, module_offset=[1e-3, 1e-3, 0]))
    assert ours["panels"][0]["origin"][2] == pytest.approx(-100)
    assert any("other side" in notice for notice in ours["notices"])


def test_an_offset_of_the_fast_axis_is_part_of_the_place(tmp_path):
    """As NeXus defines it, and newer versions of dxtbx read it: turned by the axes that it depends on."""
    path = nexgen_like(tmp_path / "x.nxs", 90, fast_offset=[1, 2, 3], module_offset=[1e-3, 0, 0])
    nexus = turned([-1, 0, 0], 90) @ (np.array([1, 2, 3]) + [1, 0, 0] + [0, 0, 212.5] + [0.1, 0, 0])
    assert read(path)["panels"][0]["origin"] == pytest.approx(list(nexus * [-1, 1, -1]))


@pytest.mark.parametrize("flip", [False, True])
def test_scans_without_ends_and_scans_that_fall(flip, dxtbx, tmp_path):
    path = nexgen_like(tmp_path / "x.nxs", module_offset=[1e-3, 1e-3, 0])
    with h5py.File(path, "a") as file:
        t = file["entry/sample/transformations"]
        del t["omega_end"]
        if flip:
            t["omega"][()] = 90 - 0.1 * np.arange(5)
    if not flip:
        compare(dxtbx, path)
        return
    # dxtbx 3.11 keeps a negative width; newer ones turn the axis over.
    ours = read(path, 2)
    assert ours["scan"]["start"] == pytest.approx(-89.8) and ours["scan"]["width"] == pytest.approx(0.1)
    assert ours["scan"]["axis"] == pytest.approx([-1, 0, 0])


def stills_with_spectra(path):
    nexgen_like(path, module_offset=[1e-3, 1e-3, 0])
    with h5py.File(path, "a") as file:
        file["entry/sample/depends_on"][()] = b"."
        beam = file["entry/instrument/beam"]
        del beam["incident_wavelength"]
        beam["incident_wavelength"] = 1 + 0.01 * np.arange(5)
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        beam["incident_wavelength"].attrs["variant"] = "incident_wavelength_1Dspectrum"
        beam["incident_wavelength_1Dspectrum"] = [9.0e-11, 1.1e-10]
        beam["incident_wavelength_1Dspectrum"].attrs["units"] = "m"
        beam["incident_wavelength_1Dspectrum_weights"] = np.arange(10.0).reshape(5, 2)
    return path


def test_stills_of_several_wavelengths_and_spectra(dxtbx, tmp_path):
    assert compare(dxtbx, stills_with_spectra(tmp_path / "x.nxs"))["beam"]["weights"] == [8, 9]
    path = stills_with_spectra(tmp_path / "y.nxs")  # dxtbx keeps the other one open
    assert read(path, 3)["beam"]["spectrum"] == pytest.approx([0.9, 1.1])
    with h5py.File(path, "a") as file:
        beam = file["entry/instrument/beam"]
        del beam["incident_wavelength"]
        beam["incident_wavelength"] = [0.9, 1.1]
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        beam["incident_wavelength_weights"] = [3, 1]
    # The mean is that of the energies, as in dxtbx.
    assert read(path)["beam"]["wavelength"] == pytest.approx(4 / (3 / 0.9 + 1 / 1.1))


def dxtbx_writer_like(path, three_d=True):
    """What dxtbx's nxmx_writer makes of a detector of two quadrants of two panels: a chain of rotations with offsets, float32
    values of one element, origins [panel, 0, 0], the place of a panel in the offset of its pixel directions."""
    with h5py.File(path, "w") as file:
        g = groups(file)
        data = np.random.default_rng(3).poisson(3, (2, 4, 22, 30)).astype("f4")
        g["data"].create_dataset("data", data=data if three_d else data.reshape(2, 88, 30), compression="gzip")
        d, t = g["detector"], g["detector"]["transformations"]
        d.create_dataset("underload_value", (1,), data=[-10], dtype="int")
        d.create_dataset("saturation_value", (1,), data=[9000], dtype="int")
        del d["sensor_thickness"]
        d["sensor_thickness"] = np.float32(320)
        d["sensor_thickness"].attrs["units"] = "microns"
        base = t.name + "/"

        def step(name, angle, vector, offset, depends_on, level):
            axis(t, name, np.array([angle], "f4"), "rotation", vector, depends_on, equipment="detector",
                 equipment_component="detector_level_%d" % level, offset=np.asarray(offset, float), offset_units="mm")

        step("AXIS_L0M0", 2.5, [0, 0, 1], [1, 2, 99.5], ".", 0)
        for q in range(2):
            step("AXIS_L0M0_L1M%d" % q, 90 * q, [0.6, 0, 0.8], [q, 3, 0.25], base + "AXIS_L0M0", 1)
            for p in range(2):
                m = d.create_group("L0M0_L1M%d_L2M%d" % (q, p))
                m.attrs["NX_class"] = "NXdetector_module"
                m["data_origin"] = np.array([2 * q + p, 0, 0] if three_d else [22 * (2 * q + p), 0], "i4")
                m["data_size"] = np.array([1, 22, 30] if three_d else [22, 30], "i4")
                for key, vector in (("fast_pixel_direction", [-1, 0, 0]), ("slow_pixel_direction", [0, -1, 0])):
                    axis(m, key, np.array([0.1], "f4"), "translation", vector, base + "AXIS_L0M0_L1M%d" % q,
                         offset=np.array([1.5 * p, -p, 0.5]), offset_units="mm")
    return path


@pytest.mark.parametrize("three_d", [True, False])
def test_a_tree_of_the_writer_of_dxtbx_keeps_its_hierarchy(three_d, tmp_path):
    path = dxtbx_writer_like(tmp_path / "x.nxs", three_d)
    ours = read(path, 1)
    assert [g["name"] for g in ours["groups"]] == ["AXIS_L0M0", "AXIS_L0M0_L1M0", "AXIS_L0M0_L1M1"]
    assert [g["parent"] for g in ours["groups"]] == [-1, 0, 0]
    assert [p["group"] for p in ours["panels"]] == [1, 1, 2, 2]
    outer, mirror = turned([0, 0, 1], 2.5), np.diag([-1, 1, -1])
    for i, p in enumerate(ours["panels"]):
        q, within = divmod(i, 2)
        inner = turned([0.6, 0, 0.8], 90 * q)
        place = outer @ (inner @ [1.5 * within, -within, 0.5] + [q, 3, 0.25]) + [1, 2, 99.5]
        assert p["origin"] == pytest.approx(list(mirror @ place))
        assert p["fast"] == pytest.approx(list(mirror @ outer @ inner @ [-1, 0, 0]))
        assert p["slow"] == pytest.approx(list(mirror @ outer @ inner @ [0, -1, 0]))
        assert p["thickness"] == pytest.approx(0.32) and p["underload"] == -10
    with h5py.File(path) as file:
        stored = file["entry/data/data"][1].reshape(4, 22, 30)
    assert np.array_equal([p["pixels"] for p in ours["panels"]], stored)


def test_a_tall_image_of_that_tree_is_read_as_dxtbx_reads_it(dxtbx, tmp_path):
    path = dxtbx_writer_like(tmp_path / "x.nxs", three_d=False)
    with h5py.File(path, "a") as file:  # dxtbx 3.11 leaves these offsets out
        for m in file["entry/instrument/detector"].values():
            if isinstance(m, h5py.Group) and "fast_pixel_direction" in m:
                for key in ("fast_pixel_direction", "slow_pixel_direction"):
                    m[key].attrs["offset"] = np.zeros(3)
    compare(dxtbx, path)


def test_steps_of_one_component_are_one_group(tmp_path):
    path = dxtbx_writer_like(tmp_path / "x.nxs")
    with h5py.File(path, "a") as file:
        t = file["entry/instrument/detector/transformations"]
        for q in range(2):
            t["AXIS_L0M0_L1M%d" % q].attrs["equipment_component"] = "detector_level_0"
    ours = read(path)
    assert [g["name"] for g in ours["groups"]] == ["AXIS_L0M0_L1M0", "AXIS_L0M0_L1M1"]
    assert [g["parent"] for g in ours["groups"]] == [-1, -1]


@pytest.mark.parametrize("name", ["/entry/instrument/detector/module/data_size",
                                  "/entry/instrument/detector/transformations/det_z", "/entry/instrument/beam/incident_wavelength"])
def test_what_is_missing_is_named(name, tmp_path):
    path = nexgen_like(tmp_path / "x.nxs", module_offset=[1e-3, 1e-3, 0])
    with h5py.File(path, "a") as file:
        del file[name]
    assert name in refused(path) and "is missing" in refused(path)


@pytest.mark.parametrize("kind", ["bitshuffle", "lzf", "plain"])
def test_other_filters_are_undone_or_named(kind, tmp_path):
    path = nexgen_like(tmp_path / "x.nxs", module_offset=[1e-3, 1e-3, 0])
    options = {"plain": {}, "lzf": {"compression": "lzf"}, "bitshuffle": {"compression": 32008, "compression_opts": (0, 2)}}[kind]
    with h5py.File(path, "a") as file:
        data = file["entry/data/data"][()]
        del file["entry/data/data"]
        try:
            file["entry/data"].create_dataset("data", data=data, chunks=(1, 22, 30), **options)
        except ValueError as error:
            if kind != "bitshuffle":
                raise
            pytest.skip("h5py has no filter 32008: %s" % error)
    said = subprocess.run([DRIVER, "read", path, "1", tmp_path / "p"], text=True, capture_output=True)
    if said.returncode == 0:
        read_pixels = np.fromfile(tmp_path / "p").reshape(22, 30)
        good = np.isfinite(read_pixels)
        assert np.array_equal(read_pixels[good], data[1][good]) and good.sum() > 500
    else:
        assert "install Debian's package" in said.stderr

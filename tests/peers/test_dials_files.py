"""Our .expt, .refl, .geom and detectors next to dxtbx, DIALS, cctbx and pyFAI.

Needs the program nablabragg_dials_files in NABLABRAGG_BUILD_DIR (or build/release), and skips what has no peer here.
"""

import json
import math
import os
import pathlib
import shutil
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("NABLABRAGG_BUILD_DIR") or REPOSITORY / "build" / "release")
PROGRAM = BUILD / "nablabragg_dials_files"
REAL = next(
    (folder for folder in (REPOSITORY / "../shared/real", REPOSITORY / "../../shared/real") if folder.is_dir()), None
)

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"no {PROGRAM}: build the tests first")
needs_real = pytest.mark.skipif(REAL is None, reason="no ../shared/real")


@pytest.fixture(scope="module")
def dxtbx():
    module = pytest.importorskip("dxtbx.model", reason="no dxtbx (Debian's python3-cctbx)")
    pytest.importorskip("scitbx.matrix", reason="no cctbx")
    return module


@pytest.fixture(scope="module")
def flex():
    return pytest.importorskip("dials.array_family.flex", reason="no dials (Debian's python3-dials)")


def ours(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def load(dxtbx, path):
    return dxtbx.ExperimentList.from_file(str(path), check_format=False)


def at(panel, fast, slow):
    """The laboratory position of a point of one of our panels, in pixels."""
    step = [fast * panel["pixel"][0], slow * panel["pixel"][1]]
    return [o + step[0] * f + step[1] * s for o, f, s in zip(panel["origin"], panel["fast"], panel["slow"])]


POINTS = [(0, 0), (1, 0), (0, 1), (0.25, 0.75), (0.5, 0.5), (0.9, 0.1), (1, 1), (0.3, 0.3), (0.99, 0.02), (0.7, 0.6)]


def assert_same_panels(geometry, detector, tolerance=1e-9):
    assert len(geometry["panels"]) == len(detector)
    for panel, theirs in zip(geometry["panels"], detector):
        assert panel["name"] == theirs.get_name()
        assert panel["size"] == list(theirs.get_image_size())
        assert panel["pixel"] == list(theirs.get_pixel_size())
        for share_fast, share_slow in POINTS:
            fast, slow = share_fast * panel["size"][0], share_slow * panel["size"][1]
            there = theirs.get_lab_coord((fast * panel["pixel"][0], slow * panel["pixel"][1]))
            assert at(panel, fast, slow) == pytest.approx(there, abs=tolerance)


def turned(matrix, axes):
    return [list(matrix.dot(a)) for a in axes]


def assert_same_experiment(geometry, experiment):
    from scitbx import matrix

    assert_same_panels(geometry, experiment.detector)
    beam = experiment.beam
    assert geometry["beam"]["wavelength"] == beam.get_wavelength()
    assert geometry["beam"]["direction"] == pytest.approx(list(beam.get_unit_s0()), abs=1e-12)
    assert geometry["beam"]["polarization"] == pytest.approx(2 * beam.get_polarization_fraction() - 1, abs=1e-12)
    normal = list(matrix.col(beam.get_polarization_normal()).normalize())
    assert geometry["beam"]["normal"] == pytest.approx(normal, abs=1e-12)
    angle = 0
    setting = fixed = matrix.sqr((1, 0, 0, 0, 1, 0, 0, 0, 1))
    if experiment.goniometer:
        setting = matrix.sqr(experiment.goniometer.get_setting_rotation())
        fixed = matrix.sqr(experiment.goniometer.get_fixed_rotation())
    if experiment.scan and experiment.scan.get_oscillation()[1] > 0:
        scan = geometry["scan"]
        assert scan["axis"] == pytest.approx(list(experiment.goniometer.get_rotation_axis()), abs=1e-12)
        assert (scan["start"], scan["width"]) == pytest.approx(experiment.scan.get_oscillation(), abs=1e-12)
        assert (scan["first"], scan["first"] + scan["images"] - 1) == experiment.scan.get_image_range()
        angle = 0.7  # any: A_lab = S R F A
    if experiment.crystal:
        real = experiment.crystal.get_real_space_vectors()
        mine = [geometry["crystals"][0][key] for key in "abc"]
        if angle:
            axis = matrix.col(experiment.goniometer.get_rotation_axis_datum())
            turn = setting * axis.axis_and_angle_as_r3_rotation_matrix(angle) * fixed
            there = matrix.col(geometry["scan"]["axis"]).axis_and_angle_as_r3_rotation_matrix(angle)
            mine = [list(there * matrix.col(v)) for v in mine]
        else:
            turn = setting * fixed
        for vector, theirs in zip(mine, real):
            assert vector == pytest.approx(list(turn * matrix.col(theirs)), abs=1e-9)


@needs_real
@pytest.mark.parametrize("name, number", [("cspad-64-panels-stills", 0), ("cspad-64-panels-stills", 2), ("mx340hs-laue-181-stills", 90)])
def test_real_experiments_are_where_dxtbx_puts_them(dxtbx, name, number):
    path = REAL / f"{name}.expt"
    assert_same_experiment(ours("read", path, number), load(dxtbx, path)[number])


@needs_real
@pytest.mark.parametrize("name, number", [("cspad-64-panels-stills", 1), ("mx340hs-laue-181-stills", 5)])
def test_real_experiments_are_the_same_when_they_are_written_again(dxtbx, tmp_path, name, number):
    path = REAL / f"{name}.expt"
    ours("rewrite", path, number, tmp_path / "again.expt", "")
    (again,) = load(dxtbx, tmp_path / "again.expt")
    then = load(dxtbx, path)[number]
    assert_same_experiment(ours("read", path, number), again)
    for a, b in zip(again.detector, then.detector):
        for pixel in [(0, 0), (100, 50), (33.3, 180)]:
            assert a.get_pixel_lab_coord(pixel) == pytest.approx(b.get_pixel_lab_coord(pixel), abs=1e-9)
    assert again.crystal.get_A() == pytest.approx(then.crystal.get_A(), abs=1e-12)
    assert again.crystal.get_space_group().info().symbol_and_number() == then.crystal.get_space_group().info().symbol_and_number()


def tilted_experiment(dxtbx, goniometer=None, scan=None):
    """Two groups in one another, each turned about an axis of no symmetry."""
    from scitbx import matrix

    def axes(about, degrees):
        turn = matrix.col(about).normalize().axis_and_angle_as_r3_rotation_matrix(degrees, deg=True)
        return tuple(turn * matrix.col((1, 0, 0))), tuple(turn * matrix.col((0, -1, 0)))

    detector = dxtbx.Detector()
    root = detector.hierarchy()
    root.set_name("detector")
    root.set_local_frame(*axes((1, 2, 3), 20), (1.5, -2.5, -180))
    for g in range(2):
        group = root.add_group()
        group.set_name(f"half{g}")
        group.set_local_frame(*axes((3, g - 0.5, 1), 10 + g), (40 * g - 20, 3, 1))
        for p in range(2):
            panel = group.add_panel()
            panel.set_name(f"panel{g}{p}")
            panel.set_type("SENSOR_PAD")
            panel.set_local_frame(*axes((0, 1, 1 + p), 2), (-18, 20 * p, 0))
            panel.set_image_size((200 + 10 * p, 100))
            panel.set_pixel_size((0.17, 0.172))
            panel.set_trusted_range((0, 5000))
            panel.set_thickness(0.45)
            panel.set_material("Si")
            panel.set_mu(4.2)
            panel.set_gain(1.5)
            panel.add_mask(3, 4, 10, 20)
            from dxtbx.model import ParallaxCorrectedPxMmStrategy

            panel.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(4.2, 0.45))
    beam = dxtbx.Beam((0.01, -0.02, 1), 1.1)
    beam.set_polarization_fraction(0.87)
    beam.set_polarization_normal((0.1, 1, 0))
    crystal = dxtbx.Crystal((40, 3, 2), (-4, 60, 1), (2, -5, 70), "P 1")
    experiments = dxtbx.ExperimentList()
    experiments.append(dxtbx.Experiment(beam=beam, detector=detector, crystal=crystal, goniometer=goniometer, scan=scan))
    return experiments


def goniometers(dxtbx):
    from dxtbx.model.goniometer import GoniometerFactory
    from scitbx import matrix
    from scitbx.array_family import flex as arrays

    def unit(axes):
        return arrays.vec3_double([tuple(matrix.col(axis).normalize()) for axis in axes])

    kappa = GoniometerFactory.multi_axis(
        unit([(1, 0, 0), (0.64, 0.766, 0.05), (1, 0.01, 0)]),
        arrays.double([12, 33, 5]),
        arrays.std_string(["phi", "kappa", "omega"]),
        2,
    )
    middle = GoniometerFactory.multi_axis(
        unit([(0, 0, 1), (1, 0.1, 0), (0.6, 0.8, 0.2)]),
        arrays.double([12, 0, 50]),
        arrays.std_string(["phi", "omega", "base"]),
        1,
    )
    single = GoniometerFactory.make_goniometer((0.6, 0.8, 0), (0, 0, 1, 1, 0, 0, 0, 1, 0))
    return {"kappa": kappa, "middle": middle, "single": single}


@pytest.mark.parametrize("kind", ["kappa", "middle", "single", None])
def test_experiments_of_dxtbx_are_read_and_written_again(dxtbx, tmp_path, kind):
    from dxtbx.model.scan import ScanFactory

    scan = ScanFactory.make_scan((5, 14), 0.1, (30, 0.25), list(range(10)), deg=True) if kind else None
    experiments = tilted_experiment(dxtbx, goniometers(dxtbx)[kind] if kind else None, scan)
    experiments.as_file(str(tmp_path / "theirs.expt"))
    geometry = ours("read", tmp_path / "theirs.expt")
    assert_same_experiment(geometry, experiments[0])
    assert [g["name"] for g in geometry["groups"]] == ["detector", "half0", "half1"]
    for panel, theirs in zip(geometry["panels"], experiments[0].detector):
        assert (panel["gain"], panel["thickness"], panel["material"], panel["mu"]) == (1.5, 0.45, "Si", 4.2)
        assert panel["masked"] == [[3, 4, 10, 20]]
        assert (panel["underload"], panel["saturation"]) == (0, 5000)

    ours("rewrite", tmp_path / "theirs.expt", 0, tmp_path / "ours.expt", "")
    (again,) = load(dxtbx, tmp_path / "ours.expt")
    assert_same_experiment(geometry, again)
    assert again.detector.hierarchy().get_name() == "detector"
    assert [group.get_name() for group in again.detector.hierarchy()] == ["half0", "half1"]
    for panel, theirs in zip(again.detector, experiments[0].detector):
        assert list(panel.get_mask()) == list(theirs.get_mask())
        assert panel.get_gain() == 1.5
        # With its correction for parallax
        for pixel in [(0, 0), (150, 99), (33.3, 18)]:
            assert panel.pixel_to_millimeter(pixel) == pytest.approx(theirs.pixel_to_millimeter(pixel), abs=1e-9)


def test_masked_and_saturated_pixels_are_the_same_for_dxtbx(dxtbx, tmp_path):
    from scitbx.array_family import flex as arrays

    tilted_experiment(dxtbx).as_file(str(tmp_path / "theirs.expt"))
    ours("rewrite", tmp_path / "theirs.expt", 0, tmp_path / "ours.expt", "")
    (again,) = load(dxtbx, tmp_path / "ours.expt")
    panel = again.detector[0]
    mask = panel.get_untrusted_rectangle_mask()
    assert mask.count(False) == 7 * 16 and not mask[4, 3] and mask[3, 3] and not mask[19, 9] and mask[20, 9]
    values = [-2, -1, 0, 1, 4999, 5000, 5001]
    counts = arrays.int(values + [0] * (200 * 100 - len(values)))
    counts.reshape(arrays.grid(100, 200))
    trusted = panel.get_trusted_range_mask(counts)
    assert [trusted[0, i] for i in range(7)] == [False, False, True, True, True, True, False]


def test_reflections_are_read_by_dials(dxtbx, flex, tmp_path):
    from dxtbx.model.scan import ScanFactory

    scan = ScanFactory.make_scan((5, 14), 0.1, (30, 0.25), list(range(10)), deg=True)
    experiments = tilted_experiment(dxtbx, goniometers(dxtbx)["single"], scan)
    experiments.as_file(str(tmp_path / "theirs.expt"))
    ours("rewrite", tmp_path / "theirs.expt", 0, tmp_path / "ours.expt", "")
    rows = [[1, -2, 3 + i, 0, i % 4, 10.5 + i, 20.25, i / 40, 100.0 + i, 0.5, 1.1, 30 + i / 160] for i in range(150)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    ours("refl", tmp_path / "ours.expt", tmp_path / "rows.json", tmp_path / "ours.refl")

    table = flex.reflection_table.from_file(str(tmp_path / "ours.refl"))
    (again,) = load(dxtbx, tmp_path / "ours.expt")
    assert len(table) == 150
    assert dict(table.experiment_identifiers()) == {0: again.identifier} == {0: "0"}
    table.assert_experiment_identifiers_are_consistent(load(dxtbx, tmp_path / "ours.expt"))
    assert list(table["miller_index"])[7] == (1, -2, 10)
    assert list(table["panel"])[:5] == [0, 1, 2, 3, 0]
    assert set(table["id"]) == {0} and set(table["imageset_id"]) == {0}
    assert list(table["intensity.sum.value"])[3] == list(table["intensity.sum.variance"])[3] == 103
    assert list(table["wavelength"])[0] == 1.1 and list(table["partiality"])[0] == 0.5
    flags = flex.reflection_table.flags
    for name in (flags.predicted, flags.observed, flags.indexed, flags.strong, flags.integrated_sum):
        assert table.get_flags(name).count(True) == 150
    assert table.get_flags(flags.overloaded).count(True) == 0
    for key in ("xyzcal.px", "xyzobs.px.value"):
        assert list(table[key])[9] == pytest.approx((19.5, 20.25, 4 + 9 / 40))
    mine = list(table["xyzcal.mm"])
    s1 = list(table["s1"])
    table.centroid_px_to_mm(load(dxtbx, tmp_path / "ours.expt"))
    table.map_centroids_to_reciprocal_space(load(dxtbx, tmp_path / "ours.expt"))
    for a, b in zip(mine, table["xyzobs.mm.value"]):
        assert a == pytest.approx(b, abs=1e-9)
    for a, b in zip(s1, table["s1"]):
        assert a == pytest.approx(b, abs=1e-9)


def test_a_reflection_table_of_dials_is_read(flex, tmp_path):
    table = flex.reflection_table()
    table["miller_index"] = flex.miller_index([(1, 2, 3), (-4, 5, 6)])
    table["xyzobs.px.value"] = flex.vec3_double([(1.5, 2.5, 0.5), (3, 4, 7)])
    table["panel"] = flex.size_t([0, 63])
    table["id"] = flex.int([0, -1])
    table["shoebox"] = flex.shoebox(flex.size_t([0, 0]), flex.int6([(0, 2, 0, 2, 0, 1)] * 2))
    table["entering"] = flex.bool([True, False])
    table["name"] = flex.std_string(["a", "b"])
    table.experiment_identifiers()[0] = "some-identifier"
    table.as_msgpack_file(str(tmp_path / "theirs.refl"))
    assert ours("list", tmp_path / "theirs.refl") == [
        [1, 2, 3, 0, 0, 1.5, 2.5, 0.5, 0, 0],
        [-4, 5, 6, -1, 63, 3, 4, 7, 0, 0],
    ]


@needs_real
def test_a_real_reflection_table_is_read_as_dials_reads_it(flex):
    path = REAL / "cspad-64-panels-stills.refl"
    theirs = flex.reflection_table.from_file(str(path))
    mine = ours("list", path)
    assert len(mine) == len(theirs) == 502
    for row, hkl, panel, px in zip(mine, theirs["miller_index"], theirs["panel"], theirs["xyzobs.px.value"]):
        assert (tuple(row[:3]), row[4], tuple(row[5:8])) == (hkl, panel, px)


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("EIGER2 16M", "Eiger2_16M"),
        ("EIGER2 9M", "Eiger2_9M"),
        ("EIGER2 4M CdTe", "Eiger2CdTe_4M"),
        ("EIGER X 16M", "Eiger16M"),
        ("EIGER X 1M", "Eiger1M"),
        ("PILATUS3 6M", "Pilatus6M"),
        ("PILATUS3 2M CdTe", "PilatusCdTe2M"),
        ("PILATUS3 1M", "Pilatus1M"),
        ("PILATUS3 300K", "Pilatus300k"),
        ("MX340-HS binned", "RayonixMx340hs"),
        ("ADSC Q315r", "ADSC_Q315"),
        ("ADSC Q4", "ADSC_Q4"),
    ],
)
def test_detectors_have_the_pixels_and_gaps_that_pyfai_has(name, theirs):
    detectors = pytest.importorskip("pyFAI.detectors", reason="no pyFAI")
    import numpy

    peer = getattr(detectors, theirs)()
    (panel,) = ours("preset", name, 100)["panels"]
    assert panel["size"] == list(peer.shape)[::-1]
    # pyFAI rounds the pixels of CCDs.
    assert panel["pixel"] == pytest.approx([peer.pixel2 * 1e3, peer.pixel1 * 1e3], rel=0.006)
    if "ADSC" in theirs or "Rayonix" in theirs:
        return
    mask = numpy.zeros(peer.shape, dtype=numpy.int8)
    for f0, s0, f1, s1 in panel["masked"]:
        mask[s0:s1, f0:f1] = 1
    assert (mask == peer.calc_mask()).all()


def test_attenuation_is_that_of_cctbx(dxtbx, tmp_path):
    table = pytest.importorskip("cctbx.eltbx.attenuation_coefficient").get_table("Si")
    experiments = tilted_experiment(dxtbx)
    for wavelength in (0.7, 1.0, 1.5):
        experiments[0].beam.set_wavelength(wavelength)
        for panel in experiments[0].detector:
            panel.set_mu(0)
        experiments.as_file(str(tmp_path / "theirs.expt"))
        ours("rewrite", tmp_path / "theirs.expt", 0, tmp_path / "ours.expt", "")
        (again,) = load(dxtbx, tmp_path / "ours.expt")
        assert again.detector[0].get_mu() == pytest.approx(table.mu_at_angstrom(wavelength) / 10, rel=0.004)


def crystfel_position(fs, ss, corner, resolution, z, fast, slow):
    """By the manual: corner + fast fs + slow ss in pixels over the resolution, along x and y; z in metres."""
    plane = [c + fast * f + slow * s for c, f, s in zip(corner, fs, ss)]
    return [1e3 * plane[0] / resolution, 1e3 * plane[1] / resolution, 1e3 * (z + (fast * fs[2] + slow * ss[2]) / resolution)]


def test_a_crystfel_geometry_is_where_its_manual_puts_it(tmp_path):
    angle = math.radians(13)
    fs = (math.cos(angle), math.sin(angle) * 0.8, math.sin(angle) * 0.6)
    ss = (-math.sin(angle), math.cos(angle) * 0.8, math.cos(angle) * 0.6)
    lines = ["photon_energy = 9 keV", "clen = 0.25", "adu_per_eV = 0.001", "res = 9090.91", "q/coffset = -0.004"]
    lines += [f"q/{key} = {value}" for key, value in dict(min_fs=10, max_fs=109, min_ss=5, max_ss=84).items()]
    lines += ["q/corner_x = -33.25", "q/corner_y = 12.5"]
    for name, vector in (("fs", fs), ("ss", ss)):
        lines.append(f"q/{name} = " + " ".join(f"{value:+.15f}{axis}" for value, axis in zip(vector, "xyz")))
    (tmp_path / "a.geom").write_text("\n".join(lines))
    (panel,) = ours("geom", tmp_path / "a.geom")["panels"]
    for fast, slow in [(0, 0), (100, 80), (12.5, 60)]:
        there = crystfel_position(fs, ss, (-33.25, 12.5), 9090.91, 0.246, fast, slow)
        assert at(panel, fast, slow) == pytest.approx(there, abs=1e-9)


def write_nxmx(path, images, scan):
    """A small NXmx by hand (docs of the format: NXmx.nxdl.xml); pixel values name their image."""
    h5py = pytest.importorskip("h5py")
    import numpy

    def group(parent, name, kind):
        made = parent.create_group(name)
        made.attrs["NX_class"] = kind
        return made

    def axis(parent, name, value, vector, before, kind="translation", unit="mm"):
        made = parent.create_dataset(name, data=value)
        made.attrs.update(dict(transformation_type=kind, vector=vector, units=unit, depends_on=before, offset=[0.0] * 3))
        return made

    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = group(file, "entry", "NXentry")
        entry["definition"] = "NXmx"
        data = group(entry, "data", "NXdata")
        data.attrs["signal"] = "data"
        pixels = numpy.arange(images, dtype=numpy.int32)[:, None, None] + numpy.zeros((1, 40, 50), dtype=numpy.int32)
        data.create_dataset("data", data=pixels, chunks=(1, 40, 50))
        sample = group(entry, "sample", "NXsample")
        sample["depends_on"] = "/entry/sample/transformations/omega" if scan else "."
        if scan:
            turns = group(sample, "transformations", "NXtransformations")
            angles = numpy.arange(images) * 0.5
            axis(turns, "omega", angles, [-1.0, 0.0, 0.0], ".", "rotation", "deg")
            turns.create_dataset("omega_end", data=angles + 0.5).attrs["units"] = "deg"
        instrument = group(entry, "instrument", "NXinstrument")
        beam = group(instrument, "beam", "NXbeam")
        beam.create_dataset("incident_wavelength", data=1.0).attrs["units"] = "angstrom"
        detector = group(instrument, "detector", "NXdetector")
        detector["sensor_material"] = "Si"
        detector.create_dataset("sensor_thickness", data=0.45).attrs["units"] = "mm"
        detector["saturation_value"] = 1000
        detector["underload_value"] = 0
        module = group(detector, "module0", "NXdetector_module")
        module["data_origin"] = [0, 0]
        module["data_size"] = [40, 50]
        axis(module, "module_offset", 100.0, [0.0, 0.0, 1.0], ".")
        here = "/entry/instrument/detector/module0/module_offset"
        axis(module, "fast_pixel_direction", 0.1, [-1.0, 0.0, 0.0], here)
        axis(module, "slow_pixel_direction", 0.1, [0.0, -1.0, 0.0], here)


@pytest.mark.parametrize("kind", ["scan", "still"])
def test_images_are_found_from_an_experiment(dxtbx, tmp_path, kind):
    from dxtbx.model.scan import ScanFactory

    images = 3
    write_nxmx(tmp_path / "images_master.h5", images, kind == "scan")
    detector = dxtbx.Detector()
    panel = detector.add_panel()
    panel.set_image_size((50, 40))
    panel.set_pixel_size((0.1, 0.1))
    panel.set_local_frame((1, 0, 0), (0, -1, 0), (-2, 2, -150))
    panel.set_trusted_range((0, 1000))
    experiments = dxtbx.ExperimentList()
    scan = ScanFactory.make_scan((1, images), 0.1, (10, 0.5), [0] * images, deg=True)
    models = dict(goniometer=goniometers(dxtbx)["single"], scan=scan) if kind == "scan" else {}
    experiments.append(dxtbx.Experiment(beam=dxtbx.Beam((0, 0, 1), 1.3), detector=detector, **models))
    experiments.as_file(str(tmp_path / "theirs.expt"))
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "ours.expt"
    ours("rewrite", tmp_path / "theirs.expt", 0, path, tmp_path / "images_master.h5")

    (experiment,) = dxtbx.ExperimentList.from_file(str(path), check_format=True)
    assert len(experiment.imageset) == (images if kind == "scan" else 1)
    for i in range(len(experiment.imageset)):
        (pixels,) = experiment.imageset.get_raw_data(i)
        assert set(pixels) == {i}
    # Its models and not those of the images
    assert experiment.beam.get_wavelength() == 1.3
    assert experiment.detector[0].get_origin() == pytest.approx((-2, 2, -150))


@needs_real
def test_an_image_of_its_own_file_is_found_from_an_experiment(dxtbx, tmp_path):
    image = tmp_path / "frame_00001.cbf"
    shutil.copy(REAL / "pilatus300k-one-degree.cbf", image)
    header = dxtbx.experiment_list.ExperimentListFactory.from_filenames([str(image)])
    header.as_file(str(tmp_path / "theirs.expt"))
    ours("rewrite", tmp_path / "theirs.expt", 0, tmp_path / "ours.expt", tmp_path / "frame_#####.cbf")
    (experiment,) = dxtbx.ExperimentList.from_file(str(tmp_path / "ours.expt"), check_format=True)
    assert list(experiment.imageset.get_raw_data(0)[0]) == list(header[0].imageset.get_raw_data(0)[0])
    assert_same_experiment(ours("read", tmp_path / "theirs.expt"), experiment)


@pytest.mark.parametrize("kind", ["kappa", "middle", "single"])
@pytest.mark.parametrize("sensor", ["thin", "silicon"])
def test_reflections_of_a_scan_are_where_dials_predicts_them(dxtbx, flex, tmp_path, kind, sensor):
    from dxtbx.model.scan import ScanFactory

    scan = ScanFactory.make_scan((5, 64), 0.1, (30, 0.5), [0] * 60, deg=True)
    experiments = tilted_experiment(dxtbx, goniometers(dxtbx)[kind], scan)
    experiments[0].crystal = dxtbx.Crystal((80, 6, 4), (-8, 120, 2), (4, -10, 140), "P 1")
    for panel in experiments[0].detector:
        panel.set_mask(type(panel.get_mask())())
        if sensor == "thin":
            panel.set_px_mm_strategy(dxtbx.SimplePxMmStrategy())
            panel.set_thickness(0)
    experiments.as_file(str(tmp_path / "a.expt"))
    ours("predict", tmp_path / "a.expt", 4, tmp_path / "ours.refl")
    mine = flex.reflection_table.from_file(str(tmp_path / "ours.refl"))
    # Without images from_predictions() takes a scan for a still.
    from dials.algorithms.spot_prediction import ScanStaticReflectionPredictor

    predictor = ScanStaticReflectionPredictor(experiments[0], dmin=4)
    theirs = predictor.for_ub(experiments[0].crystal.get_A())
    # A reflection may cross the sphere twice.
    found = {}
    for hkl, panel, px in zip(mine["miller_index"], mine["panel"], mine["xyzcal.px"]):
        found.setdefault((hkl, panel), []).append(px)
    # With mu t of 1.9, DIALS' depth differs from the mean of the captured photons, which is ours.
    tolerance = 1e-6 if sensor == "thin" else 0.6
    assert len(theirs) > 100 and len(mine) == pytest.approx(len(theirs), rel=1e-9 if sensor == "thin" else 0.03)
    matched = 0
    for hkl, panel, px in zip(theirs["miller_index"], theirs["panel"], theirs["xyzcal.px"]):
        nearest = [spot for spot in found.get((hkl, panel), []) if abs(spot[2] - px[2]) < 1e-6]
        matched += bool(nearest) and max(abs(a - b) for a, b in zip(nearest[0], px)) < tolerance
    assert matched >= len(theirs) * (1 if sensor == "thin" else 0.97)


@needs_real
def test_reflections_of_a_still_are_near_those_that_were_measured(flex, tmp_path):
    """Of the real CSPAD stills: 502 integrated spots."""
    path = REAL / "cspad-64-panels-stills.expt"
    measured = flex.reflection_table.from_file(str(REAL / "cspad-64-panels-stills.refl"))
    from dxtbx.model import ExperimentList

    ExperimentList.from_file(str(path), check_format=False)[0:1].as_file(str(tmp_path / "first.expt"))
    ours("predict", tmp_path / "first.expt", 1.8, tmp_path / "ours.refl")
    mine = flex.reflection_table.from_file(str(tmp_path / "ours.refl"))
    places = {(h, p): xyz for h, p, xyz in zip(mine["miller_index"], mine["panel"], mine["xyzcal.px"])}
    first = measured.select(measured["id"] == 0)
    misses = []
    for hkl, panel, px in zip(first["miller_index"], first["panel"], first["xyzcal.px"]):
        if (hkl, panel) in places:
            misses.append(math.dist(places[hkl, panel][:2], px[:2]))
    assert len(misses) > 0.9 * len(first)
    assert sorted(misses)[len(misses) // 2] < 0.5

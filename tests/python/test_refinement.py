"""refine() finds what made an image, as the command does, and stops where it is told to."""

import json
import math
import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

import nablabragg as nb

PARAMETERS = ["misset", "cell[0-2]", "beam_center", "mosaic_spread", "fluence"]
TRUTH = [12, -7, 33, 40, 45, 50, 25.5, 25.7, 0.6, 3e27]


def crystal_image(**changes):
    crystal = dict(cell=(40, 45, 50, 90, 90, 90), misset=(12, -7, 33), cells=15, shape="gauss", mosaic_spread=0.6)
    crystal.update({name: value for name, value in changes.items() if name in crystal})
    return nb.Experiment(
        crystal=nb.Crystal(mosaic_domains=20, **crystal),
        beam=nb.Beam(wavelength=1, fluence=3e27),
        detector=nb.Detector(
            pixels=256, pixel_size=0.2, distance=60, beam_center=changes.get("beam_center", (25.5, 25.7))
        ),
        sampling=nb.Sampling(oversample=1),
        structure_factors=100,
        water=0.07,
    )


@pytest.fixture(scope="module")
def truth():
    return crystal_image()


@pytest.fixture(scope="module")
def start():
    return crystal_image(
        cell=(40, 45.2, 50, 90, 90, 90), misset=(12.3, -7.3, 33.3), mosaic_spread=0.42, beam_center=(25.8, 25.4)
    )


@pytest.fixture(scope="module")
def counts(truth):
    return nb.count_photons(truth, nb.simulate(truth), seed=1)


def test_it_goes_through_a_point_spread(truth):
    response = nb.DetectorResponse(point_spread="gauss", fwhm=300)
    counts = nb.count_photons(truth, nb.simulate(truth), seed=3, response=response)
    spread = {"point_spread": "gauss", "fwhm": 300, "parameters": ["mosaic_spread"]}
    found = nb.refine(truth, counts, **spread).numbers[0]
    assert abs(found.value - 0.6) < 4.5 * found.deviation
    with pytest.warns(nb.SimulationWarning, match="does not explain the image"):
        wide = nb.refine(truth, counts, parameters=["mosaic_spread"]).numbers[0]
    assert wide.value - 0.6 > 10 * found.deviation
    both = nb.refine(truth, counts, point_spread="gauss", fwhm=250, parameters=["mosaic_spread", "response.fwhm"])
    width = both.number("response.fwhm")
    assert (width.unit, width.start) == ("um", 250)
    assert abs(width.value - 300) < 4.5 * width.deviation < 0.05 * 300
    with pytest.raises(nb.UsageError, match="response.fwhm is the width of a point spread, and the detector has none"):
        nb.refine(truth, counts, parameters=["response.fwhm"])
    with pytest.raises(nb.UsageError, match="point_spread is 'gauss' or 'fiber', not 'lorentz'"):
        nb.refine(truth, counts, point_spread="lorentz", parameters=["misset"])


def test_it_says_how_many_pixels_the_beamstop_hides(truth):
    behind = truth.replace(beamstop=nb.Beamstop(distance=30, radius=4))
    counts = nb.count_photons(behind, nb.simulate(behind), seed=5)
    r = nb.refine([behind, behind], [counts, counts], parameters=["fluence"])
    hidden = r.pixels_in_shadow[0]
    assert r.pixels_in_shadow == (hidden, hidden)
    # A disk of 8 mm about the beam in pixels of 0.2 mm, and those that its edge cuts
    assert math.pi * 40**2 < hidden < math.pi * 40**2 + 3 * math.pi * 40
    assert nb.refine(behind, counts, parameters=["fluence", "beamstop_radius"]).pixels_in_shadow == (0,)


def test_it_finds_several_crystals(truth):
    two = truth.replace(more_crystals=[nb.FurtherCrystal(misset=(-40, 15, 70), weight=0.4)])
    counts = nb.count_photons(two, nb.simulate(two), seed=6)
    start = two.replace(more_crystals=[nb.FurtherCrystal(misset=(-40.2, 15.2, 69.8), weight=0.6)])
    r = nb.refine(start, counts, parameters=["misset", "crystal[1].misset", "crystal[1].weight"])
    for number, expected in zip(r.numbers, [12, -7, 33, -40, 15, 70, 0.4]):
        assert abs(number.value - expected) < 4.5 * number.deviation, number
    assert r.experiment.more_crystals[0].weight == r.number("crystal[1].weight").value
    with pytest.raises(nb.UsageError, match=r"crystal\[1\]\.weight"):
        nb.refine(start, counts, parameters=["misset", "crystal[1].weight"], intensities="free")


def test_it_finds_the_model_of_a_counted_image(start, counts):
    r = nb.refine(start, counts, parameters=PARAMETERS)
    assert [n.name for n in r.numbers][:4] == ["misset[0]", "misset[1]", "misset[2]", "cell[0]"]
    for number, expected in zip(r.numbers, TRUTH):
        assert abs(number.value - expected) < 4.5 * number.deviation, number
        assert number.deviation < 0.01 * abs(expected)
    assert r.number("cell[1]").unit == "A"
    assert r.number("misset[0]").start == 12.3
    with pytest.raises(KeyError, match="'distance' was not refined; misset"):
        r.number("distance")
    assert r.experiment["misset"][0] == r.numbers[0].value
    assert r.experiment.crystal.cell[1] == r.number("cell[1]").value
    assert r.correlations.shape == (10, 10)
    assert np.allclose(np.diag(r.correlations), 1)
    assert [stage.name for stage in r.stages] == ["spot positions", "measured spots", "predicted spots"]
    assert r.stages[-1].converged
    assert r.pixels_in_shadow == (0,)
    assert abs(r.stages[-1].residual - 1) < 0.1
    assert r.warnings == ()
    assert not r.stopped
    assert len(r.structure_factors.hkl) == 0


def test_its_numbers_are_those_of_the_command(start, counts, truth, program, tmp_path):
    path = tmp_path / "still.cbf"
    nb.write_image(path, truth, counts)
    options = dict(bounds={"distance": (59, None)}, restraints={"distance": (60.1, 0.2), "misset[0]": 0.5})
    r = nb.refine(start, path, parameters=["misset", "distance"], shoebox=13, background="plane", **options)
    flags = """-corrected -N 15 -gauss_xtal -mosaic_domains 20 -lambda 1 -detpixels 256 -pixel 0.2 -oversample 1
        -default_F 100 -water 0.07 -distance 60 -cell 40 45.2 50 90 90 90 -misset 12.3 -7.3 33.3 -mosaic 0.42
        -fluence 3e27 -Xbeam 25.8 -Ybeam 25.4"""
    subprocess.run(
        [program, "refine", "--quiet", "--image", path, "--parameters", "misset,distance"]
        + ["--bound", "distance=59:", "--restrain", "distance=60.1:0.2", "--restrain", "misset[0]=0.5"]
        + ["--shoebox", "13", "--background", "plane", "--outdir", tmp_path / "r", "--", *flags.split()],
        check=True,
        capture_output=True,
    )
    by_command = json.loads((tmp_path / "r" / "refined.json").read_text())
    assert [n["value"] for n in by_command["numbers"]] == [n.value for n in r.numbers]
    assert [n["deviation"] for n in by_command["numbers"]] == [n.deviation for n in r.numbers]
    assert by_command["warnings"] == [w for w in r.warnings if "where the model has" not in w]


def test_gain_offset_and_read_out_noise_of_an_array_are_given(start, counts):
    noise = np.random.default_rng(1).normal(0, 3, counts.shape)
    measured = 100 + 2.5 * counts + noise
    r = nb.refine(
        start, measured, parameters=PARAMETERS, gain=2.5, offset=100, readout_noise=3, likelihood="gauss"
    )
    for number, expected in zip(r.numbers, TRUTH):
        assert abs(number.value - expected) < 4.5 * number.deviation, number
    with pytest.warns(nb.SimulationWarning, match="the counts vary less than photons do"):
        nb.refine(start, counts + 40, parameters=PARAMETERS)
    with pytest.raises(nb.InputError, match=r"below the 40 counts of a dark pixel; offset gives what"):
        nb.refine(start, counts, parameters=PARAMETERS, offset=40)


def test_pixels_that_are_nan_are_left_out(start, counts):
    gaps = counts.astype(float)
    gaps[100:110] = np.nan
    r = nb.refine(start, gaps, parameters="fluence", all_pixels=True, iterations=1, spot_stage=False)
    assert r.stages[0].pixels == 256 * 246


@pytest.mark.parametrize("marks", [(-1, -2), (65535, 65534)])
def test_marks_of_pixels_without_a_count_are_left_out_and_said(start, counts, marks):
    gaps = counts.astype(np.int32)
    gaps[100:105], gaps[105:110] = marks
    with pytest.warns(nb.SimulationWarning, match="left out"):
        r = nb.refine(start, gaps, parameters="fluence", all_pixels=True, iterations=1, spot_stage=False)
    assert r.stages[0].pixels == 256 * 246


def test_counts_below_zero_that_are_no_marks_alone_are_counts(start, counts):
    less_dark = counts.astype(np.int32)
    less_dark[100, :5] = -1
    less_dark[100, 5] = -3
    r = nb.refine(start, less_dark, parameters="fluence", all_pixels=True, iterations=1, spot_stage=False)
    assert r.stages[0].pixels == 256 * 256


def test_structure_factors_are_refined_too(truth, counts):
    hkl = np.stack(np.meshgrid(*[np.arange(-25, 26)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    table = nb.StructureFactors.from_reflections(hkl, np.full(len(hkl), 110.0))
    with pytest.warns(nb.SimulationWarning, match="take the structure factors as known"):
        r = nb.refine(
            truth.replace(structure_factors=table), counts, parameters=["misset"], structure_factors=0.2
        )
    factors = r.structure_factors
    assert factors.hkl.shape == (len(factors.value), 3)
    assert len(factors.value) > 50
    assert abs(factors.value.mean() - 100) < 2
    assert np.all(factors.start == 110)
    assert np.all(factors.deviation > 0)
    refined = r.experiment.structure_factors
    index = factors.hkl[3] + 25
    assert refined.F[tuple(index)] == factors.value[3]


def test_progress_is_told_of_every_iteration_and_stops_it(start, counts):
    seen = []
    whole = nb.refine(start, counts, parameters=PARAMETERS, progress=seen.append)
    assert len(seen) == len([p for p in seen if set(p.values) == {n.name for n in whole.numbers}])
    assert {p.stage for p in seen} == {stage.name for stage in whole.stages}
    assert seen[-1].residual < 1.2

    stopped = nb.refine(start, counts, parameters=PARAMETERS, progress=lambda p: p.stage != "predicted spots")
    assert stopped.stopped
    assert math.isnan(stopped.numbers[0].deviation)
    resumed = nb.refine(start, counts, parameters=PARAMETERS, resume=stopped.state)
    assert [n[:5] for n in resumed.numbers] == [n[:5] for n in whole.numbers]
    from_progress = nb.refine(start, counts, parameters=PARAMETERS, resume=seen[-2].state)
    assert [n[:5] for n in from_progress.numbers] == [n[:5] for n in whole.numbers]
    with pytest.raises(nb.UsageError, match="was of another image, model or options"):
        nb.refine(start, counts, parameters=PARAMETERS, resume=stopped.state, spots=20)
    with pytest.raises(nb.UsageError, match="resume is no file of an interrupted refinement"):
        nb.refine(start, counts, parameters=PARAMETERS, resume="{}")


def test_what_progress_raises_is_raised(start, counts):
    def fail(progress):
        raise ZeroDivisionError(progress.stage)

    with pytest.raises(ZeroDivisionError, match="spot positions"):
        nb.refine(start, counts, parameters=PARAMETERS, progress=fail)


def test_control_c_stops_it_within_a_second(start, counts):
    slow = start.replace(crystal=nb.Crystal(
        cell=(40, 45.2, 50, 90, 90, 90), misset=(12.3, -7.3, 33.3), cells=15, mosaic_spread=0.42, mosaic_domains=40000
    ))
    sent = []

    def interrupt():
        time.sleep(0.5)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        nb.refine(slow, counts, parameters=["misset"], spot_stage=False)
    assert time.monotonic() - sent[0] < 2
    thread.join()


def test_wrong_calls_are_answered_in_a_sentence(start, counts, tmp_path):
    def complaint(error, image=counts, **options):
        with pytest.raises(error) as raised:
            nb.refine(start, image, **dict({"parameters": ["misset"]}, **options))
        return str(raised.value)

    assert "no parameter 'mispet'" in complaint(nb.UsageError, parameters=["mispet"])
    assert "likelihood is one of" in complaint(nb.UsageError, likelihood="luck")
    assert "'distance', which is not refined" in complaint(nb.UsageError, bounds={"distance": (1, 2)})
    assert "bounds needs" in complaint(TypeError, bounds={"misset[0]": 3})
    assert "restraint" in complaint(nb.UsageError, restraints={"misset[0]": -1})
    assert "gain needs a positive number" in complaint(nb.UsageError, gain=0)
    assert 'likelihood="gauss"' in complaint(nb.UsageError, readout_noise=2)
    assert "(10, 10)" in complaint(nb.InputError, image=counts[:10, :10])
    assert "nothing.cbf" in complaint(nb.InputError, image="nothing.cbf")
    assert "no spot of 20 photons" in complaint(nb.InputError, image=np.zeros((256, 256)))
    assert "image_number is of a file" in complaint(nb.UsageError, image_number=1)
    smv = tmp_path / "still.img"
    header = "{\nHEADER_BYTES=  512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\nSIZE1=256;\nSIZE2=256;\n}\n"
    smv.write_bytes(header.ljust(512).encode() + counts.astype("<u2").tobytes())
    assert "give offset (0 for a detector that counts photons" in complaint(nb.InputError, image=smv)
    assert "image_number 3: " in complaint(nb.UsageError, image=smv, image_number=3)


def test_it_finds_a_lattice_without_structure_factors():
    crystal = dict(cells=15, shape="gauss", mosaic_spread=0.05, mosaic_model="gaussian")
    truth = nb.Experiment(
        crystal=nb.Crystal(cell=(60, 60, 60, 90, 90, 90), misset=(12, -7, 33), **crystal),
        beam=nb.Beam(wavelength=1, fluence=1e28),
        detector=nb.Detector(pixels=300, pixel_size=0.13, distance=60, beam_center=(19.5, 19.7)),
        scan=nb.Scan(phi=20, oscillation=1),
        structure_factors=100,
        water=0.5,
    )
    counts = nb.count_photons(truth, nb.simulate(truth), seed=1)
    start = truth.replace(cell=(60.2, 60.2, 60.2, 90, 90, 90), misset=(12.2, -7.2, 33.2))
    r = nb.refine(
        start, counts, parameters=["misset", "cell[0-2]"], equal="cell[0-2]", intensities="free", shoebox=11
    )
    assert [n.name for n in r.numbers] == ["misset[0]", "misset[1]", "misset[2]", "cell[0-2]"]
    for number, expected in zip(r.numbers, (12, -7, 33, 60)):
        assert abs(number.value - expected) < 5 * number.deviation, number
    assert r.found_spots.placed > 0.9 * r.found_spots.found > 50
    assert r.found_spots.fast_rms_px < 0.3
    assert len(r.structure_factors.hkl) > 50
    with pytest.raises(nb.UsageError, match="^centring needs intensities free"):
        nb.refine(start, counts, parameters=["misset"], centring="I")
    with pytest.raises(nb.UsageError, match='intensities is one of "model", "free"'):
        nb.refine(start, counts, parameters=["misset"], intensities="none")


def test_several_images_share_numbers_and_have_others_for_themselves(start, truth, tmp_path):
    orientations = [(12, -7, 33), (80, 20, 5)]
    series = nb.series(truth, orientations=orientations)
    images = [nb.count_photons(series.experiment(i), image, seed=i) for i, image in enumerate(series)]
    off = nb.series(start, orientations=[(12.2, -7.2, 33.2), (80.2, 20.1, 4.8)])
    asked = dict(parameters=["cell[0-2]", "mosaic_spread", "beam_center"], own=["misset", "fluence"])
    r = nb.refine(off, images, restraints={"image[1].fluence": 1e29}, **asked)
    assert [n.name for n in r.numbers][5:8] == ["beam_center[1]", "image[0].misset[0]", "image[0].misset[1]"]
    expected = [40, 45, 50, 0.6, 25.5, 25.7, 12, -7, 33, 3e27, 80, 20, 5, 3e27]
    for number, true in zip(r.numbers, expected, strict=True):
        assert abs(number.value - true) < 5 * number.deviation, number
    assert len(r.experiments) == 2
    assert r.experiment is r.experiments[0]
    assert r.experiments[1]["misset"][1] == r.number("image[1].misset[1]").value
    assert r.experiments[1].crystal.cell[0] == r.experiment.crystal.cell[0] == r.number("cell[0]").value
    # Of lists, of an array with an axis more, and of files
    experiments = [off.experiment(0), off.experiment(1)]
    again = nb.refine(experiments, np.stack(images), restraints={"image[1].fluence": 1e29}, **asked)
    assert again.numbers == r.numbers
    for i, image in enumerate(images):
        nb.write_image(tmp_path / f"still_{i + 1:02}.cbf", off.experiment(i), image)
    for paths in (tmp_path / "still_##.cbf", [tmp_path / "still_01.cbf", tmp_path / "still_02.cbf"]):
        of_files = nb.refine(off, paths, restraints={"image[1].fluence": 1e29}, **asked)
        assert of_files.numbers == r.numbers


def test_images_that_do_not_go_with_the_experiments_are_refused(start, counts, tmp_path):
    def complaint(experiment, image, **options):
        with pytest.raises(nb.Error) as error:
            nb.refine(experiment, image, **{"parameters": "misset", **options})
        return str(error.value)

    assert "there are 1 images and 2 experiments" in complaint([start, start], [counts])
    assert "there are 3 images (image), and the model is of 2" in complaint([start, start], ["a", "b", "c"])
    assert "images are all paths or all arrays" in complaint([start, start], [counts, "a.cbf"])
    assert "experiment is an empty list" in complaint([], [])
    assert "nothing is to be refined" in complaint(start, counts, parameters=())
    with pytest.raises(TypeError, match="image needs a path or a list of images, as experiment is one, not 5"):
        nb.refine([start], 5, parameters="misset")
    moved = nb.series(start, orientations=[(13, -7.3, 33.3)]).experiment(0)
    assert "refine it as each image's own (own)" in complaint([start, moved], [counts, counts])

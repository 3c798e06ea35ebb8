"""What is no number, of the wrong kind or shape, or called wrongly is refused or said, in a sentence."""

import inspect
import os
import threading
import time
import warnings

import numpy as np
import pytest

import nablabragg as nb

NAN, INF = float("nan"), float("inf")
ENGINES = [
    {"engine": "cpu", "dtype": "float32"},
    {"engine": "cpu", "dtype": "float64"},
    {"engine": "reference"},
]


def all_nan(gradient):
    return all(np.isnan(slopes).all() for slopes in gradient.values())


@pytest.fixture
def dark():
    """Narrow spots on a wide panel: most tiles are dark."""
    amplitudes = np.random.default_rng(7).uniform(20, 200, (21, 21, 21))
    return nb.Experiment(
        crystal=nb.Crystal(cell=(50, 60, 70, 85, 95, 105), misset=(10, 20, 30), cells=40,
                           shape="gauss"),
        detector=nb.Detector(pixels=(40, 48), pixel_size=0.4, distance=90),
        sampling=nb.Sampling(oversample=1),
        structure_factors=nb.StructureFactors(F=amplitudes),
    )  # fmt: skip


# ---- NaN never becomes 0


@pytest.mark.parametrize("options", ENGINES)
@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_weights_that_are_no_numbers_give_nan_gradients(dark, wrong, options):
    value, gradient = nb.value_and_gradient(dark, np.full(dark.shape, wrong), **options)
    assert np.isnan(value) and set(gradient) == {*dark.parameters, "F"} and all_nan(gradient)
    assert all_nan(nb.value_and_gradient(dark, wrong, **options)[1])
    one = np.ones(dark.shape)
    one[0, 0] = wrong
    assert all_nan(nb.value_and_gradient(dark, one, **options)[1])
    assert all_nan(nb.vjp(dark, one, **options))
    assert all_nan(nb.vjp(dark, [wrong], pixels=[(3, 4)], **options))


@pytest.mark.parametrize("options", ENGINES)
@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_a_loss_that_is_no_number_gives_nan_gradients(dark, wrong, options):
    for loss in (
        lambda image: (wrong, np.full(image.shape, wrong)),
        lambda image: (wrong, np.zeros(image.shape)),
        lambda image: (np.float32(wrong), np.ones(image.shape)),
    ):
        value, gradient = nb.value_and_gradient(dark, loss, **options)
        assert not np.isfinite(value) and all_nan(gradient)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of the mean of nothing
        value, gradient = nb.value_and_gradient(
            dark, lambda image: (image.mean(), image), pixels=np.zeros((0, 2), int), **options
        )
    assert np.isnan(value) and all_nan(gradient)
    value, gradient = nb.value_and_gradient(dark, lambda image: (1.0, np.full(image.shape, wrong)), **options)
    assert value == 1 and all_nan(gradient)


def test_weights_of_pixels_that_do_not_count_may_be_anything(dark):
    mask = np.ones(dark.shape, bool)
    mask[3, 4] = False
    masked = dark.replace(sampling=dark.sampling.replace(mask=mask, roi=(0, 30, 0, 47)))
    weights = np.ones(dark.shape)
    value, gradient = nb.value_and_gradient(masked, weights)
    weights[3, 4] = NAN
    weights[:, 31:] = INF
    same_value, same = nb.value_and_gradient(masked, weights)
    assert same_value == value
    assert all(np.array_equal(same[name], gradient[name]) for name in gradient)


@pytest.mark.parametrize("options", ENGINES)
def test_a_direction_that_is_no_number_changes_every_pixel_by_nan(dark, options):
    F = np.zeros(dark["F"].shape)
    F[1, 2, 3] = INF
    for direction in ({"misset": [0, NAN, 0]}, {"phi": NAN}, {"F": F}):
        assert np.isnan(nb.jvp(dark, direction, **options)).all()


def test_the_gradient_of_a_model_is_nan_where_the_loss_is(dark):
    model = nb.ExperimentModel(dark)
    value, gradient = model.value_and_gradient(model.start, lambda image: (NAN, image * NAN))
    assert np.isnan(value) and np.isnan(gradient).all()


# ---- Numbers


@pytest.mark.parametrize("wrong, word", [(NAN, "NaN"), (INF, "infinite"), (-INF, "infinite")])
def test_amplitudes_that_are_no_numbers_are_refused_with_the_first_index(small, wrong, word):
    F = np.random.default_rng(1).rayleigh(100, (41, 41, 41))
    F[7, 11:, 13:] = wrong
    with pytest.raises(nb.InputError, match=f"F of -13 -9 -7 is {word}"):
        nb.StructureFactors(F=F, min=(-20, -20, -20))
    with pytest.raises(nb.InputError, match=f"F of -13 -9 -7 is {word}"):
        nb.StructureFactors(F=F)
    with pytest.raises(nb.InputError, match=f"F of 4 5 6 is {word}"):
        nb.StructureFactors.from_reflections([(1, 2, 3), (4, 5, 6)], [10, wrong])
    table = np.array(small["F"])
    table[0, 0, 1] = wrong
    with pytest.raises(nb.InputError, match=f"F of -10 -10 -9 is {word}"):
        small.replace(F=table)
    with pytest.raises(nb.InputError, match="F of -10 -10 -9"):
        small.structure_factors.replace(F=table)


def test_complex_numbers_are_refused_and_none_lose_their_imaginary_part(small):
    F = np.full((3, 3, 3), 3 + 4j)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in (
            lambda: nb.StructureFactors(F=F),
            lambda: nb.StructureFactors.from_reflections([(1, 2, 3)], [3 + 4j]),
            lambda: nb.Crystal(cell=np.ones(6, complex)),
            lambda: nb.Crystal(fudge=1 + 0j),
            lambda: nb.Crystal(fudge=np.complex64(1)),
            lambda: small.replace(misset=[1j, 0, 0]),
            lambda: nb.vjp(small, np.ones(small.shape, complex)),
        ):
            with pytest.raises(TypeError, match="needs?( real numbers, not complex| a number, not)"):
                make()
    assert nb.StructureFactors(F=np.abs(F)).F[0, 0, 0] == 5


def test_negative_amplitudes_stay_what_they_are():
    assert nb.StructureFactors(F=-np.ones((3, 3, 3))).F[0, 0, 0] == -1


def test_gaps_and_truths_are_no_amplitudes():
    F = np.ma.masked_greater(np.arange(27.0).reshape(3, 3, 3), 20)
    with pytest.raises(TypeError, match="F needs an array without gaps"):
        nb.StructureFactors(F=F)
    with pytest.raises(TypeError, match="F needs an array of three axes, .* not an array of bool"):
        nb.StructureFactors(F=np.ones((3, 3, 3), bool))
    for F in (["12"], [None], np.array(["12"], object)):
        with pytest.raises(TypeError, match="F needs amplitudes"):
            nb.StructureFactors.from_reflections([(1, 2, 3)], F)
    with pytest.raises(TypeError, match="misset needs 3 numbers"):
        nb.Crystal(misset=(1, None, 3))


@pytest.mark.parametrize("truth", [True, np.bool_(False), np.array(True)])
def test_truths_are_no_numbers(small, truth):
    for name, make in {
        "fudge": lambda: nb.Crystal(fudge=truth),
        "cells": lambda: nb.Crystal(cells=truth),
        "misset": lambda: nb.Crystal(misset=[1, 2.5, truth]),
        "cell": lambda: nb.Crystal(cell=(50, 60, 70, 90, 90, truth)),
        "distance": lambda: nb.Detector(distance=truth),
        "pixels": lambda: nb.Detector(pixels=truth),
        "mosaic_domains": lambda: nb.Crystal(mosaic_domains=truth),
        "default_F": lambda: nb.StructureFactors(default_F=truth),
        "structure_factors": lambda: small.replace(structure_factors=truth),
        "F": lambda: nb.StructureFactors.from_reflections([(1, 2, 3)], [truth]),
        "threads": lambda: nb.simulate(small, threads=truth),
    }.items():
        with pytest.raises(TypeError, match=f"{name} .*needs? "):
            make()
    with pytest.raises(TypeError, match="distance .*needs? numbers"):
        small.replace(distance=truth)


@pytest.mark.parametrize("hkl", [[(0.5, 0, 0)], [(NAN, 0, 0)], [(2**40, 0, 0)], [(1, 2)], [(1j, 0, 0)]])
def test_indices_are_whole_numbers_in_threes(hkl):
    with pytest.raises((nb.UsageError, TypeError), match="hkl needs"):
        nb.StructureFactors.from_reflections(hkl, [1.0])
    assert nb.StructureFactors.from_reflections([(1.0, 2.0, 3.0)], [4]).min == (1, 2, 3)


def test_bool_arrays_of_pixels_and_masks_have_the_image_s_shape(small):
    for shape in ((3, 3), (40, 48), (48,), (48, 40, 1)):
        with pytest.raises(nb.UsageError, match=r"needs the shape of the image, \(48, 40\), not"):
            nb.simulate(small, pixels=np.ones(shape, bool))
    with pytest.raises(nb.UsageError, match="mask"):
        small.replace(sampling=nb.Sampling(mask=np.ones((40, 48), bool)))
    with pytest.raises(TypeError, match="mask needs a bool array"):
        nb.Sampling(mask=np.full((48, 40), 0.5))
    with pytest.raises(nb.UsageError, match="pixel"):
        nb.simulate(small, pixels=[(2**32, 0)])


def test_a_text_is_neither_true_nor_false():
    for text in ("False", "no", 2, None, []):
        with pytest.raises(TypeError, match="curved needs True or False"):
            nb.Detector(curved=text)
    assert nb.Detector(curved=np.bool_(True)).curved and not nb.Detector(curved=0).curved


# ---- Images that hold what is no number


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_image_that_is_not_finite_is_a_warning_with_the_first_pixel(dtype):
    bright = nb.Experiment(
        crystal=nb.Crystal(cell=(50, 60, 70, 90, 90, 90), cells=5),
        detector=nb.Detector(pixels=32, pixel_size=1),
        sampling=nb.Sampling(oversample=1),
        structure_factors=nb.StructureFactors(default_F=1e25 if dtype == "float32" else 1e160),
    )
    with pytest.warns(nb.SimulationWarning) as caught:
        image = nb.simulate(bright, dtype=dtype)
    wrong = np.argwhere(~np.isfinite(image))
    assert len(wrong) > 0
    words = str(caught[-1].message)
    assert words.startswith(f"{len(wrong)} of 1024 pixels are NaN or infinite, first at pixel fast "
                            f"{wrong[0][1]} slow {wrong[0][0]};")  # fmt: skip
    assert "the largest is 1e+" in words and "fluence (1.26e+29" in words
    assert caught[0].filename == __file__
    with pytest.warns(nb.SimulationWarning, match=f"1 of 1 pixels is .* fast {wrong[0][1]} slow"):
        nb.simulate(bright, dtype=dtype, pixels=[wrong[0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(nb.SimulationWarning):
            nb.simulate(bright, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dark_image_is_a_warning_with_its_reason(small, dtype):
    dark = small.replace(beam=nb.Beam(fluence=0), sampling=nb.Sampling(oversample=20))
    with pytest.warns(nb.SimulationWarning) as caught:
        assert not nb.simulate(dark, dtype=dtype).any()
    assert [str(w.message) for w in caught] == ["every pixel of the image is 0: the fluence is 0"]


def test_too_few_sub_pixels_are_among_the_warnings_of_the_experiment(small):
    for oversample, words in ((1, "spots are finer"), (14, "fringes are finer")):
        (line,) = small.replace(sampling=nb.Sampling(oversample=oversample)).warnings
        assert words in line and "-oversample 15 would" in line
    assert small.replace(sampling=nb.Sampling(oversample=15)).warnings == ()


def test_finite_images_are_made_without_a_word(small):
    fine = small.replace(sampling=nb.Sampling(oversample=20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nb.simulate(fine)
        nb.simulate(fine, dtype="float64", pixels=[(0, 0)])


# ---- Calls


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda e: nb.simulate(), "simulate() missing 1 required positional argument"),
        (lambda e: nb.simulate(3), "experiment needs an Experiment, not 3"),
        (lambda e: nb.simulate(e, thread=2), "unexpected keyword argument 'thread'"),
        (lambda e: nb.simulate(e, threads="2"), "threads needs a whole number, not '2'"),
        (lambda e: nb.simulate(e, engine=3), "engine needs a str, not 3"),
        (lambda e: nb.simulate(e, "float64"), "takes 1 positional argument"),
        (lambda e: nb.value_and_gradient({}, 1), "experiment needs an Experiment, not {}"),
        (lambda e: nb.value_and_gradient(e), "missing 1 required positional argument: 'loss'"),
        (lambda e: nb.value_and_gradient(e, None), "the weights need numbers, not None"),
        (lambda e: nb.value_and_gradient(e, ["x"] * 9999), "not a list of 9999 items"),
        (lambda e: nb.value_and_gradient(e, lambda i: (1j, i)), "loss function's value needs a number"),
        (lambda e: nb.value_and_gradient(e, lambda i: (1, "x")), "derivative needs numbers, not 'x'"),
        (lambda e: nb.jvp(e, 3), "direction needs a dict of names, not 3"),
        (lambda e: nb.jacobian(e, 3), "names needs a str, not 3"),
        (lambda e: nb.jacobian(e, ["cell", 3]), "the name of a parameter needs a str, not 3"),
        (lambda e: nb.Crystal((1, 2, 3, 90, 90, 90)), "Crystal takes keywords: Crystal(cell=...)"),
        (lambda e: e.replace(3), "replace() takes keywords"),
        (lambda e: e.crystal.replace(3), "Crystal takes keywords"),
        (lambda e: e[3], "the name of a parameter needs a str, not 3"),
        (lambda e: nb.Sampling(mask=np.ones(9999)), "not an array of float64 and shape (9999,)"),
        (lambda e: nb.Crystal(cell=np.ones(99)), "cell needs 6 numbers, not an array of float64"),
        (lambda e: nb.Crystal(cell=[1.5] * 99), "cell needs 6 numbers, not a list of 99 items"),
        (lambda e: nb.StructureFactors.read(3), "not int"),
        (lambda e: nb.StructureFactors.read("x", colum="F"), "unexpected keyword argument 'colum'"),
        (lambda e: nb.read_reflections("x", column=3), "column needs a str, not 3"),
        (lambda e: nb.StructureFactors.from_reflections("x", 1), "hkl needs whole numbers"),
        (lambda e: nb.calculate_structure_factors("x.pdb", "fine"), "dmin needs a number, not 'fine'"),
        (lambda e: nb.Experiment.from_json(3), "text needs a str, not 3"),
        (lambda e: nb.write_png("x.png", 3), "greys needs an array (slow, fast), not 3"),
        (lambda e: nb.write_picture("x.png", e, "light"), "image needs photons, not 'light'"),
        (lambda e: nb.write_picture("x.png", e, np.zeros(e.shape), rings="two"), "rings needs"),
        (lambda e: nb.from_dict(3), "from_dict() needs a dict, not a int"),
    ],
)
def test_a_wrong_call_is_a_type_error_in_one_short_sentence(small, call, words):
    with pytest.raises(TypeError) as caught:
        call(small)
    text = str(caught.value)
    assert words in text
    assert len(text) < 200 and "Invoked with" not in text and "\n" not in text


def test_weights_of_another_shape_are_named_with_both_shapes(small):
    with pytest.raises(nb.UsageError, match=r"^the weights need the shape \(48, 40\), not \(40, 48\)$"):
        nb.value_and_gradient(small, np.ones((40, 48)))
    assert 3 not in small


@pytest.mark.parametrize("name", [name for name in nb.__all__ if callable(getattr(nb, name))])
def test_signatures_can_be_looked_at(name):
    thing = getattr(nb, name)
    if isinstance(thing, type) and not hasattr(thing, "fields") and thing is not nb.ExperimentModel:
        return  # errors, and what functions return
    parameters = inspect.signature(thing).parameters
    if hasattr(thing, "fields"):
        assert tuple(parameters) == thing.fields
    else:
        assert parameters
    assert thing.__doc__


METHODS = [
    (name, method)
    for name in nb.__all__
    if isinstance(getattr(nb, name), type)
    for method in vars(getattr(nb, name))
    if not method.startswith("_") and callable(getattr(getattr(nb, name), method))
]


@pytest.mark.parametrize("name, method", METHODS)
def test_signatures_of_methods_can_be_looked_at(name, method):
    inspect.signature(getattr(getattr(nb, name), method))


def test_replace_shows_the_fields_and_keeps_those_that_are_left_out():
    parameters = inspect.signature(nb.Crystal.replace).parameters
    assert tuple(parameters) == ("self", *nb.Crystal.fields)
    changed = nb.Crystal(cell=(1, 2, 3, 90, 90, 90), fudge=2).replace(fudge=3)
    assert changed.fudge == 3 and changed.cell[2] == 3
    with pytest.raises(TypeError, match="no field .fuge."):
        changed.replace(fuge=3)


def test_signatures_have_the_defaults():
    assert inspect.signature(nb.Crystal).parameters["fudge"].default == 1
    assert inspect.signature(nb.simulate).parameters["dtype"].default == "float32"
    assert inspect.signature(nb.StructureFactors.read).parameters["column"].default == ""


def test_parse_says_which_flags_have_no_effect():
    line = "-corrected -cell 70 80 90 90 90 90 -default_F 100 -detpixels 16 -nonoise -nopgm"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = nb.parse(line)
        assert nb.parse(line + " -summation sampled").sampling.summation == "sampled"
    with pytest.warns(nb.SimulationWarning) as caught:
        same = nb.parse(line + " -floatfile a.bin -noisefile b.img -threads 2 -images 3")
    assert same == plain
    assert "so that -floatfile, -noisefile, -threads, -images have no effect" in str(caught[0].message)
    assert caught[0].filename == __file__


# ---- Ctrl-C


SOON = 3  # seconds, on a machine that does much else; the work would take minutes


def interrupted_after(call):
    """Seconds between Ctrl-C, pressed after 0.3, and the KeyboardInterrupt."""
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), 2)

    timer = threading.Timer(0.3, press)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
        return time.monotonic() - pressed[0]
    finally:
        timer.cancel()


def test_ctrl_c_ends_the_wait_for_a_pipe_that_nobody_fills(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    try:
        for call in (
            lambda: nb.StructureFactors.read(path),
            lambda: nb.read_reflections(path),
            lambda: nb.parse(f"-corrected -cell 50 60 70 90 90 90 -nocache -hkl {path}"),
            lambda: nb.calculate_structure_factors(path, 3),
        ):
            assert interrupted_after(call) < SOON
    finally:
        # Let the abandoned readers go.
        end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        os.write(end, b"1 2 3 4\n")
        time.sleep(0.2)
        os.close(end)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_ctrl_c_stops_expensive_pixels_within_a_second(engine):
    expensive = nb.Experiment(
        crystal=nb.Crystal(
            cell=(50, 60, 70, 90, 90, 90), cells=5, mosaic_spread=0.5, mosaic_domains=100
        ),
        beam=nb.Beam(
            horizontal_divergence=(2, 25), vertical_divergence=(2, 25), dispersion=(1, 9)
        ),
        scan=nb.Scan(oscillation=(1, 10)),
        detector=nb.Detector(pixels=256),
        sampling=nb.Sampling(oversample=2),
        structure_factors=1,
    )
    options = {"engine": engine}
    assert interrupted_after(lambda: nb.simulate(expensive, **options)) < SOON
    assert interrupted_after(lambda: nb.value_and_gradient(expensive, 1.0, **options)) < SOON
    names = ["cell", "misset"]
    assert interrupted_after(lambda: nb.jacobian(expensive, names, **options)) < SOON


def test_ctrl_c_stops_structure_factors_within_a_second(tmp_path):
    path = tmp_path / "large.pdb"
    path.write_text(
        "CRYST1  150.000  150.000  150.000  90.00  90.00  90.00 P 1           1\n"
        "ATOM      1  O   HOH A   1       0.000   0.000   0.000  1.00 10.00           O\n"
        "END\n"
    )
    assert interrupted_after(lambda: nb.calculate_structure_factors(path, 0.8)) < SOON


# ---- Every field


PARTS = [nb.SampledRange, nb.Crystal, nb.Beam, nb.Detector, nb.Scan, nb.Sampling, nb.StructureFactors]
FIELDS = [(part, name) for part in PARTS for name in part.fields]
STRANGE = [
    None, True, "", "x", "1", b"1", NAN, INF, -INF, 1e400, -1, 0, 0.5, 1j, 10**30, -(10**30), [], [1, None],
    [[1, 2], [3]], {}, {"range": NAN}, {1: 2}, {1, 2}, object(), int, np.array("x"), np.array(1j),
    np.zeros(0), np.full(3, NAN), np.full((3, 3), INF), np.full((3, 3, 3), NAN), np.ma.masked_all(3),
    np.array([1, "a"], object), np.datetime64("2020-01-01"), np.ones((1, 5)) * NAN, range(6),
    "\ud800", (1,) * 1000, [float("nan")] * 6, (NAN, NAN), (1, 10**30), np.float32(NAN),
]  # fmt: skip


@pytest.mark.parametrize("part, name", FIELDS, ids=lambda x: getattr(x, "__name__", x))
def test_strange_values_are_taken_or_refused_in_a_short_sentence(part, name):
    for value in STRANGE:
        try:
            made = part(**{name: value})
        except (TypeError, ValueError, nb.Error) as error:
            text = str(error)
            assert 0 < len(text) < 300 and "\n" not in text and "Invoked with" not in text, repr(value)
        else:
            assert made == made.replace() or "nan" in repr(made)


@pytest.mark.parametrize("name", ["dtype", "threads", "pixels", "progress", "engine", "device", "summation"])
def test_strange_options_are_taken_or_refused_in_a_short_sentence(small, name):
    for value in STRANGE:
        try:
            nb.simulate(small, **{"pixels": [(0, 0)], name: value})
        except (TypeError, ValueError, nb.Error) as error:
            text = str(error)
            assert 0 < len(text) < 300 and "\n" not in text and "Invoked with" not in text, repr(value)


def test_a_name_that_is_no_utf8_is_shown_in_the_sentence(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.hkl"
    with pytest.raises(nb.InputError, match=r"caf\\xe9\.hkl"):
        nb.read_reflections(os.fsdecode(name))

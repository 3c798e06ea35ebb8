"""Experiments as objects, dictionaries and command lines."""

import json
import pathlib
import pickle
import re
import subprocess
import warnings

import numpy as np
import pytest

import nablabragg as nb

PARTS = [nb.SampledRange, nb.Crystal, nb.FurtherCrystal, nb.Beam, nb.Detector, nb.Beamstop, nb.Scan, nb.Sampling, nb.StructureFactors]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_part_is_copied_compared_and_pickled_field_by_field(part):
    standard = part()
    assert standard == part(**{name: getattr(standard, name) for name in part.fields})
    assert standard == standard.replace() == pickle.loads(pickle.dumps(standard))
    assert standard != "something else"


@pytest.mark.parametrize("part", PARTS + [nb.Experiment], ids=lambda part: part.__name__)
def test_documentation_names_every_field(part):
    for name in part.fields:
        assert f"\n{name} : " in part.__doc__
        assert getattr(part, name).__doc__


def test_fields_are_in_field_units_and_read_only():
    crystal = nb.Crystal(cell=(50.8, 42.8, 28.9, 90, 90, 90), misset=(10, 20, 30), cells=(20, 20, 30))
    assert crystal.cell == (50.8, 42.8, 28.9, 90, 90, 90)
    assert crystal.replace(cells=5).cells == (5, 5, 5)
    assert crystal.cells == (20, 20, 30)
    with pytest.raises(AttributeError):
        crystal.cells = 5


def test_a_range_is_a_number_a_pair_or_a_dict():
    expected = nb.SampledRange(range=3, steps=10)
    assert nb.Beam(dispersion=(3, 10)).dispersion == expected
    assert nb.Beam(dispersion={"range": 3, "steps": 10}).dispersion == expected
    assert nb.Beam(dispersion=3).dispersion == nb.SampledRange(range=3)
    assert nb.Beam(dispersion=None).dispersion is None


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: nb.Crystal(celll=3), TypeError, ["Crystal has no field 'celll'", "mosaic_spread"]),
        (lambda: nb.Crystal(cell=3), TypeError, ["cell needs 6 numbers"]),
        (lambda: nb.Crystal(cell=(1, 2, 3)), TypeError, ["cell needs 6 numbers"]),
        (lambda: nb.Crystal(misset="x"), TypeError, ["misset needs 3 numbers"]),
        (lambda: nb.Crystal(mosaic_domains=2.5), TypeError, ["mosaic_domains needs a whole number"]),
        (lambda: nb.Crystal(shape="cube"), ValueError, ["shape is one of", "gauss", "'cube'"]),
        (lambda: nb.Detector(pixels=(1, 2, 3)), TypeError, ["pixels needs two values"]),
        (lambda: nb.Detector(beam_center=3), TypeError, ["beam_center needs two numbers"]),
        (lambda: nb.Sampling(mask=3), TypeError, ["mask needs a bool array of two axes"]),
        (lambda: nb.Beam(sources=[1, 2]), TypeError, ["sources needs rows of five numbers"]),
        (lambda: nb.Beam(dispersion={"width": 1}), TypeError, ["dispersion needs range, step or steps"]),
        (lambda: nb.StructureFactors(F=np.ones(3)), TypeError, ["F needs an array of three axes"]),
        (lambda: nb.StructureFactors(F=np.ones((2, 3, 3))), nb.UsageError, ["even", "min=(h, k, l)"]),
        (lambda: nb.Experiment(crystal=3), TypeError, ["crystal needs a Crystal"]),
        (lambda: nb.Experiment(mode="wrong"), TypeError, ["mode needs"]),
        (lambda: nb.Experiment(crystal=nb.Crystal()), nb.UsageError, ["no structure factors"]),
        (lambda: nb.Experiment(structure_factors=1), nb.UsageError, ["no unit cell"]),
    ],
)
def test_a_wrong_description_is_refused_with_the_field_s_name(make, error, words):
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_usage_errors_are_value_errors_and_input_errors_are_not():
    assert issubclass(nb.UsageError, nb.Error) and issubclass(nb.UsageError, ValueError)
    assert issubclass(nb.InputError, nb.Error) and not issubclass(nb.InputError, ValueError)


def test_an_experiment_survives_json_and_pickle(small):
    mask = np.zeros((48, 40), bool)
    mask[10:20] = True
    full = nb.Experiment(
        crystal=small.crystal.replace(mosaic_spread=0.3, mosaic_domains=7, shape="gauss"),
        beam=small.beam.replace(sources=[(-1, 0, 0, 1, 1.0), (-1, 0.01, 0, 2, 1.1)]),
        detector=small.detector.replace(attenuation_depth=np.inf, beam_center=(21.5, None)),
        scan=nb.Scan(phi=3, oscillation=(1, 4)),
        sampling=small.sampling.replace(mask=mask, roi=(1, 30, 2, 40)),
        structure_factors=small.structure_factors,
        water=2.5,
        mode=("Q-01", "Q-30"),
    )
    text = json.dumps(nb.to_dict(full), allow_nan=False)
    again = nb.from_dict(json.loads(text))
    assert again == full
    assert again.sampling.mask.dtype == bool
    assert pickle.loads(pickle.dumps(full)) == full
    assert np.array_equal(nb.simulate(again), nb.simulate(full))


def test_an_experiment_survives_its_own_json(small):
    full = small.replace(
        beam=small.beam.replace(sources=[(-1, 0, 0, 1, 1.0), (-1, 0.01, 0, 2, 1 / 3)]),
        detector=small.detector.replace(attenuation_depth=np.inf, beam_center=(21.5, None)),
        sampling=small.sampling.replace(mask=np.arange(48 * 40).reshape(48, 40) % 7 > 2),
    )
    text = full.to_json()
    plain = json.loads(text)
    assert plain["schema"] == "nablabragg.experiment" and plain["version"] == 1
    assert plain["detector"]["attenuation_depth"] == "inf"
    assert set(plain) == {"schema", "version", *nb.Experiment.fields}
    if full.structure_factors.F is not None:
        with pytest.raises(nb.InputError, match="structure_factors.F is a table that is not stored"):
            nb.Experiment.from_json(text)
    again = nb.Experiment.from_json(text, structure_factors=full.structure_factors)
    assert again == full


@pytest.mark.parametrize(
    "change, words",
    [
        ({"version": 2}, "version is 2"),
        ({"detectors": {}}, "detectors is no key of an experiment"),
        ({"water": "wet"}, 'water needs a number, not "wet"'),
    ],
)
def test_other_json_is_refused_with_the_key(small, change, words):
    plain = json.loads(small.replace(structure_factors=nb.StructureFactors(default_F=10)).to_json())
    assert nb.Experiment.from_json(json.dumps(plain)).structure_factors.default_F == 10
    with pytest.raises(nb.InputError, match=words):
        nb.Experiment.from_json(json.dumps(plain | change))


def other(name, value):
    """A value that is not a field's default."""
    special = {
        "shape": "gauss",
        "convention": "xds",
        "pivot": "sample",
        "interpolation": "tricubic",
        "spot_metric": "round",
        "diffuse_motion": "rigid",
        "block_size_fixed": "cells",
        "mosaic_model": "gaussian",
        "spectrum_model": "gaussian",
        "divergence_model": "gaussian",
        "mosaic_spread_axes": (0.25, 0.5, 1.5),
        "cell_spread": (0.1, 0.2, 0.3),
        "cell_angle_spread": (0.02, 0.03, 0.04),
        "summation": "sampled",
        "cell": (50, 60, 70, 80, 90, 100),
        "stated_cell": (50, 60, 70, 80, 90, 100),
        "a_matrix": np.arange(9).reshape(3, 3) + 0.5,
        "sources": [(-1, 0, 0.5, 2, 1.5), (-1, 0.25, 0, 3, 1.25)],
        "roi": (1, 2, 3, 4),
        "mask": np.eye(4, dtype=bool),
        "F": np.arange(27.0).reshape(3, 3, 3),
        "min": (-2, 0, 1),
    }
    if name in special:
        return special[name]
    if isinstance(value, str):
        return value + "another"
    if name in ("beam_center", "near_point", "org", "trusted"):
        return (1.5, 2.5)
    if name in ("origin", "direction", "normal", "shift", "turn") or name.endswith("_axis"):
        return (0.25, 0.5, 1.5)
    if name in ("dispersion", "oscillation") or name.endswith("_divergence") and value is None:
        return nb.SampledRange(range=1.5, step=0.5, steps=4)
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return tuple(item + index + 2 for index, item in enumerate(value))
    return 3 if value is None else value * 2 + 3


def test_the_documentation_of_a_pair_says_what_its_two_numbers_are():
    def kind(part, field):
        return re.search(rf"^{field} : (.+)$", part.__doc__, re.MULTILINE)[1]

    assert kind(nb.Beam, "tilt") == "(horizontal, vertical) [mrad], or one number for both"
    assert kind(nb.Beamstop, "offset") == "(fast, slow) [mm], or one number for both"
    assert kind(nb.Detector, "pixels") == "(fast, slow), or one int for both"
    assert kind(nb.Detector, "trusted") == "(underload, saturation) [counts] or None"
    assert kind(nb.Detector, "beam_center") == "(x, y) [mm] or None"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_field_of_a_part_comes_through_keywords_pickle_and_dictionaries(part):
    standard = part()
    changed = part(**{name: other(name, getattr(standard, name)) for name in part.fields})
    for name in part.fields:
        assert not np.array_equal(getattr(changed, name), getattr(standard, name)), name
        assert f"{name}=" in repr(changed)
    assert pickle.loads(pickle.dumps(changed)) == changed == changed.replace()
    plain = json.loads(json.dumps(nb.to_dict(changed)))
    assert set(plain) == set(part.fields)


def test_what_has_many_numbers_is_told_in_one_line():
    ice = nb.ice_rings(2)
    assert repr(ice).startswith(f"Material(name='ice', stol=<tuple of {len(ice.stol)}>, F=<tuple of ")
    assert len(repr(ice)) < 300


def test_a_dictionary_names_its_schema_and_another_one_is_refused(small):
    plain = nb.to_dict(small)
    assert plain["schema"] == "nablabragg.experiment-dict" and plain["version"] == 1
    assert nb.from_dict(plain) == small
    for change in ({"version": 2}, {"schema": "nablabragg.experiment"}):
        (key,) = change
        with pytest.raises(nb.InputError, match=f"^{key} is .*, and from_dict.. reads"):
            nb.from_dict(plain | change)


@pytest.mark.parametrize(
    "change",
    [{"zlib": "no base64"}, {"zlib": "AAAA"}, {"shape": [3, 3, 3]}, {"dtype": "O"}, {"dtype": "what"}],
)
def test_an_array_that_cannot_be_unpacked_is_named(small, change):
    plain = nb.to_dict(small)
    plain["structure_factors"]["F"] |= change
    with pytest.raises(nb.InputError, match="structure_factors.F is no array that to_dict.. wrote"):
        nb.from_dict(plain)


def test_a_dictionary_may_leave_fields_out():
    short = {"crystal": {"cell": [50, 60, 70, 90, 90, 90]}, "structure_factors": 10}
    assert nb.from_dict(short) == nb.Experiment(
        crystal=nb.Crystal(cell=(50, 60, 70, 90, 90, 90)), structure_factors=10
    )
    with pytest.raises(TypeError, match="Experiment has no field 'crystals'"):
        nb.from_dict({"crystals": {}})


def test_structure_factors_show_their_table_without_a_copy():
    table = np.arange(3 * 5 * 7, dtype=float).reshape(3, 5, 7)
    factors = nb.StructureFactors(F=table, min=(-1, 0, 2))
    assert np.array_equal(factors.F, table)
    assert factors.min == (-1, 0, 2)
    assert not factors.F.flags.owndata
    with pytest.raises(ValueError):
        factors.F[0, 0, 0] = 1
    assert factors.replace(min=(0, 0, 0)).min == (0, 0, 0)
    assert nb.StructureFactors(F=table).min == (-1, -2, -3)


def test_structure_factors_come_from_reflections_and_from_text(tmp_path):
    hkl = np.array([[0, 0, 1], [-2, 1, 0], [1, 1, 1]])
    F = np.array([10.0, 20.0, 30.0])
    made = nb.StructureFactors.from_reflections(hkl, F, default_F=5)
    assert made.min == (-2, 0, 0) and made.F.shape == (4, 2, 2)
    assert made.F[-2 + 2, 1, 0] == 20 and made.F[1, 0, 0] == 5
    path = tmp_path / "F.hkl"
    path.write_text("".join(f"{h} {k} {l} {f}\n" for (h, k, l), f in zip(hkl, F)))
    assert nb.StructureFactors.read(path, default_F=5) == made
    with pytest.raises(nb.UsageError, match="neither an MTZ"):
        nb.StructureFactors.read(path, column="FP")
    with pytest.raises(nb.InputError, match="nothing.hkl"):
        nb.StructureFactors.read(tmp_path / "nothing.hkl")


DATA = pathlib.Path(__file__).parents[1] / "data" / "reflections"


def test_a_file_of_reflections_says_what_was_taken_and_what_it_is_of():
    file = nb.read_reflections(DATA / "bijvoet_pairs.mtz")
    assert (file.format, file.taken) == ("MTZ", "columns F(+) and F(-) (type G)")
    assert file.anomalous and file.space_group == "P 21 21 21"
    assert file.cell == (30, 40, 50, 90, 90, 90)
    assert file.hkl.shape == (len(file.F), 3) and len(np.unique(file.hkl, axis=0)) == len(file.F)
    assert file.notices == () and file.contradicting == 0
    made = nb.StructureFactors.from_reflections(file.hkl, file.F)
    read = nb.StructureFactors.read(DATA / "bijvoet_pairs.mtz")
    assert read.replace(stated_cell=None) == made
    assert read.stated_cell == file.cell and read.stated_wavelength == file.wavelength
    assert nb.read_reflections(DATA / "p2111_as_P21.mtz").notices[0].endswith("the records count")


def test_the_cell_of_a_file_is_compared_with_the_one_that_is_given():
    read, path = nb.StructureFactors.read, DATA / "round_values.mtz"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path, cell=(40.2, 50, 60, 90, 90, 90))
    with pytest.warns(nb.SimulationWarning, match="cell is 40.8 50 60 90 90 90, 2.0 % from it"):
        read(path, cell=(40.8, 50, 60, 90, 90, 90))
    with pytest.raises(nb.InputError, match="is of the cell 40 50 60 90 90 90, and cell is 55 55"):
        read(path, cell=(55, 55, 90, 90, 90, 120))


def test_an_experiment_compares_its_cell_with_that_of_its_structure_factors():
    factors = nb.StructureFactors.read(DATA / "round_values.mtz")
    assert factors.stated_cell == (40, 50, 60, 90, 90, 90)

    def of_cell(*cell, mode="corrected", factors=factors):
        return nb.Experiment(crystal=nb.Crystal(cell=cell), structure_factors=factors, mode=mode)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good = of_cell(40.2, 50, 60, 90, 90, 90)
        of_cell(55, 55, 90, 90, 90, 120, factors=factors.replace(stated_cell=None))
        assert pickle.loads(pickle.dumps(good)) == good
    says = "structure factors are of the cell 40 50 60 90 90 90, and cell is "
    with pytest.warns(nb.SimulationWarning, match=says + "40.8 50 60 90 90 90, 2.0 % from it"):
        of_cell(40.8, 50, 60, 90, 90, 90)
    with pytest.raises(nb.UsageError, match=says + "55 .*stated_cell=None"):
        of_cell(55, 55, 90, 90, 90, 120)
    with pytest.warns(nb.SimulationWarning, match=says + "55 "):
        assert any(says in line for line in of_cell(55, 55, 90, 90, 90, 120, mode="compat").warnings)
    with pytest.raises(nb.UsageError, match=says + "55 "):
        good.replace(crystal=nb.Crystal(cell=(55, 55, 90, 90, 90, 120)))
    # A parameter that an optimiser turns goes where it goes.
    with pytest.warns(nb.SimulationWarning, match="it is now 44 50 60 90 90 90, 10.0 % from it"):
        moved = good.replace(cell=(44, 50, 60, 90, 90, 90))
    assert moved.structure_factors.stated_cell is None
    with pytest.raises(nb.UsageError, match="and a_matrix makes 50 50 50 90 90 90"):
        nb.Experiment(crystal=nb.Crystal(a_matrix=np.eye(3) / 50), structure_factors=factors)


def test_a_cell_that_nothing_else_states_is_that_of_the_structure_factors():
    factors = nb.StructureFactors.read(DATA / "round_values.mtz")
    with pytest.warns(nb.SimulationWarning, match="structure factors is taken, 40 50 60 90 90 90"):
        e = nb.Experiment(structure_factors=factors)
    assert e.crystal.cell == (40, 50, 60, 90, 90, 90)
    with pytest.raises(nb.UsageError, match="their cell is 1 1 1 90 90 90, which no crystal has"):
        nb.Experiment(structure_factors=factors.replace(stated_cell=(1, 1, 1, 90, 90, 90)))


def test_the_wavelength_of_a_measurement_is_compared_with_that_of_the_beam():
    factors = nb.StructureFactors(default_F=10, stated_wavelength=0.9795)
    crystal = nb.Crystal(cell=(40, 50, 60, 90, 90, 90))
    says = "were measured at 0.9795 Angstrom, and the wavelength is 1"
    with pytest.warns(nb.SimulationWarning, match=says):
        nb.Experiment(crystal=crystal, structure_factors=factors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nb.Experiment(crystal=crystal, structure_factors=factors, beam=nb.Beam(wavelength=0.98))


def test_a_matrix_and_a_cell_that_contradict_are_refused():
    factors = nb.StructureFactors(default_F=10)

    def of(cell, wavelength=0.9795, mode="corrected"):
        matrix = np.diag([0.0244875, 0.01959, 0.016325])
        return nb.Experiment(
            crystal=nb.Crystal(a_matrix=matrix, cell=cell),
            beam=nb.Beam(wavelength=wavelength),
            structure_factors=factors,
            mode=mode,
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of((40.2, 50, 60, 90, 90, 90))
    says = "the A matrix makes the cell 40 50 60 90 90 90 at 0.9795 Angstrom, and cell is "
    with pytest.warns(nb.SimulationWarning, match=says + "40.8 50 60 90 90 90, 2.0 % from it"):
        of((40.8, 50, 60, 90, 90, 90))
    with pytest.raises(nb.UsageError, match=says + "55 55 90 90 90 120"):
        of((55, 55, 90, 90, 90, 120))
    with pytest.warns(nb.SimulationWarning, match=says + "55 55 90 90 90 120"):
        of((55, 55, 90, 90, 90, 120), mode="compat")
    with pytest.raises(nb.UsageError, match="it fits a wavelength of 0.9795"):
        of((40, 50, 60, 90, 90, 90), wavelength=1.1)


def test_a_list_that_may_hold_intensities_is_refused_until_told(tmp_path):
    path = tmp_path / "F.hkl"
    path.write_text("0 0 1 400 9\n0 1 0 -12.5 8\n1 0 0 900 10\n")
    for read in (nb.StructureFactors.read, nb.read_reflections):
        with pytest.raises(nb.InputError, match="line 2, .* has a negative value and a sigma"):
            read(path)
    with pytest.warns(nb.SimulationWarning, match="1 negative intensity has no root"):
        roots = nb.StructureFactors.read(path, column="I")
    assert roots.F.max() == 30
    assert nb.StructureFactors.read(path, column="F").F.min() == -12.5


def test_a_command_line_takes_the_cell_and_the_wavelength_of_its_file_and_says_so():
    notices = []
    line = f"-corrected -nocache -hkl {DATA / 'round_values.mtz'} -N 5 -detpixels 16"
    e = nb.parse(line, notices=notices)
    assert e.crystal.cell == (40, 50, 60, 90, 90, 90)
    assert any("column FP (type F, with SIGFP)" in notice for notice in notices)
    assert any("its cell is taken" in notice for notice in notices)
    with pytest.raises(nb.InputError, match="isomorphous"):
        nb.parse("-cell 55 55 90 90 90 120 " + line)


def test_doubts_of_a_command_line_are_warnings_unless_notices_are_asked_for():
    line = "-cell 50 60 70 90 90 90 -default_F 10 -N 3 -detpixels 8 -energy_keV 12"
    with pytest.warns(nb.SimulationWarning, match="-energy_keV says keV"):
        nb.parse(line)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nb.parse(line, notices=[])


def test_reflections_that_disagree_are_a_warning():
    hkl = np.array([[0, 0, 1], [1, 1, 1], [0, 0, 1]])
    with pytest.warns(nb.SimulationWarning, match="disagree, the first at 0 0 1; the last one counts"):
        made = nb.StructureFactors.from_reflections(hkl, np.array([1.0, 2.0, 3.0]))
    assert made.F[0, 0, 0] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nb.StructureFactors.from_reflections(hkl, np.array([1.0, 2.0, 1.0]))


def test_a_matrix_that_is_no_crystals_is_refused():
    factors = nb.StructureFactors(default_F=100)
    for matrix, problem in [
        (np.diag([0.025, 0.02, -0.02]), "left-handed"),
        (np.diag([40.0, 50.0, 60.0]), "an edge of 0.025"),
    ]:
        with pytest.raises(nb.UsageError, match=problem):
            nb.Experiment(crystal=nb.Crystal(a_matrix=matrix), structure_factors=factors)


def test_structure_factors_come_from_an_atomic_model(tmp_path):
    path = tmp_path / "one.pdb"
    path.write_text(
        "CRYST1   20.000   25.000   30.000  90.00  90.00  90.00 P 1           1\n"
        "ATOM      1  O   HOH A   1       0.000   0.000   0.000  1.00 10.00           O\n"
        "END\n"
    )
    factors, cell = nb.calculate_structure_factors(path, 5.0, k_sol=0)
    assert cell == (20, 25, 30, 90, 90, 90)
    centre = tuple(-m for m in factors.min)
    assert factors.F[centre] == pytest.approx(8, rel=0.01)  # the electrons of one oxygen
    with pytest.raises(nb.UsageError, match="dmin"):
        nb.calculate_structure_factors(path, 0)


def test_what_is_decided_about_a_model_is_a_warning(tmp_path):
    path = tmp_path / "cold.pdb"
    path.write_text(
        "CRYST1   20.000   25.000   30.000  90.00  90.00  90.00 P 1           1\n"
        "ATOM      1  O   HOH A   1       0.000   0.000   0.000  1.00  0.00           O\n"
        "END\n"
    )
    with pytest.warns(nb.SimulationWarning, match="cold.pdb: all temperature factors are 0"):
        nb.calculate_structure_factors(path, 5.0)


def test_a_command_line_gives_the_program_s_image(program, tmp_path):
    line = (
        "-cell 70 80 90 75 95 105 -default_F 100 -N 5 -detpixels 64 -pixel 0.8 -misset 10 20 30 "
        "-dispersion 3 -dispsteps 5 -nocache"
    )
    out = tmp_path / "image.bin"
    subprocess.run(
        [program, *line.split(), "-floatfile", str(out), "-noprogress"],
        check=True, capture_output=True, cwd=tmp_path,
    )
    notices = []
    experiment = nb.parse(line, notices=notices)
    assert experiment.mode == "compat"
    assert any(line.startswith("Q-01") for line in notices)
    image = nb.simulate(experiment)
    assert image.tobytes() == out.read_bytes()


def test_a_command_line_may_have_continuations_and_quotes_or_be_a_list():
    split = nb.parse("-cell 70 80 90 90 90 90 \\\n -default_F '100' -corrected")
    assert split == nb.parse(["-cell", 70, 80, 90, 90, 90, 90, "-default_F", 100, "-corrected"])
    assert split.mode == "corrected"
    assert split == nb.Experiment(
        crystal=nb.Crystal(cell=(70, 80, 90, 90, 90, 90)), structure_factors=100
    )


def test_a_wrong_command_line_is_an_error():
    with pytest.raises(nb.UsageError, match="did you mean -default_F"):
        nb.parse("-cell 70 80 90 90 90 90 -default_G 100")
    with pytest.raises(nb.InputError, match="no-such-file"):
        nb.parse("-cell 70 80 90 90 90 90 -hkl no-such-file")


def test_shape_and_warnings_are_those_of_the_settled_experiment():
    experiment = nb.parse("-cell 70 80 90 90 90 90 -default_F 100 -detsize_f 10 -detsize_s 20")
    assert experiment.shape == (200, 100)
    assert isinstance(experiment.warnings, tuple)

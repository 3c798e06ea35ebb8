"""The shots of an ensemble as arrays, and as a dataset for torch."""

import pickle
import subprocess

import numpy as np
import pytest

import nablabragg as nb

pytest.importorskip("h5py", reason="h5py is not installed (Debian: python3-h5py)")

DESCRIPTION = """
ensemble: 1
base: >
  -corrected -cell 50 60 70 90 90 90 -default_F 100 -N 10 -gauss_xtal -mosaic 0.3 -mosaic_domains 3 -lambda 1
  -distance 80 -detpixels 32 -pixel 1.5 -fluence 1e27 -oversample 1 -sensor Si 450
shots: 11
seed: 2
orientation: random
vary: {distance: {uniform: [79, 81]}}
output: {folder: shots, shots_per_shard: 4, reflections: true, spot_mask: 2}
"""

FLAGS = """-corrected -cell 50 60 70 90 90 90 -default_F 100 -N 10 -gauss_xtal -mosaic 0.3 -mosaic_domains 3 -lambda 1
-distance 80 -detpixels 48 -pixel 1 -fluence 1e27 -oversample 1"""


@pytest.fixture(scope="module")
def folder(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "e.yaml").write_text(DESCRIPTION)
    subprocess.run([program, "ensemble", "e.yaml"], cwd=folder, check=True, capture_output=True)
    return folder / "shots"


def test_a_shot_has_its_counts_labels_and_reflections(folder):
    import h5py

    from nablabragg.shots import Shots

    shots = Shots(folder)
    assert len(shots) == 11
    with h5py.File(folder / "all.nxs") as file:
        for number in (0, 3, 4, 10, 7):
            shot = shots[number]
            assert shot.index == number and shot.counts.dtype == np.int32
            assert np.array_equal(shot.counts, file["entry/data/data"][number])
            assert np.array_equal(shot.labels["orientation"], file["shots/orientation"][number])
            mine = file["shots/reflections/shot"][...] == number
            assert np.array_equal(shot.reflections["hkl"], file["shots/reflections/hkl"][...][mine])
            assert len(shot.reflections["hkl"]) > 0
    assert shots[-1].index == 10
    assert np.array_equal(shots.labels("distance"), [shots[i].labels["distance"] for i in range(11)])


def test_shots_are_read_of_one_file_as_of_shards(program, folder, tmp_path):
    from nablabragg.shots import Shots

    (tmp_path / "e.yaml").write_text(DESCRIPTION.replace("shots_per_shard", "files: one, shots_per_shard"))
    subprocess.run([program, "ensemble", "e.yaml"], cwd=tmp_path, check=True, capture_output=True)
    one, shards = Shots(tmp_path / "shots"), Shots(folder)
    assert len(one) == len(shards) == 11
    assert one.label_names() == shards.label_names()
    for number in (0, 5, 10):
        assert np.array_equal(one[number].counts, shards[number].counts)
        assert np.array_equal(one[number].spot_mask, shards[number].spot_mask)
        assert np.array_equal(one[number].reflections["hkl"], shards[number].reflections["hkl"])
    assert np.array_equal(one.labels("orientation"), shards.labels("orientation"))


def test_a_shot_that_is_made_has_the_bits_of_the_one_that_was_written(folder):
    from nablabragg.shots import Ensemble, Shots

    written, ensemble = Shots(folder), Ensemble(folder.parent / "e.yaml")
    assert len(ensemble) == len(written) and sorted(ensemble.label_names()) == sorted(written.label_names())
    made = ensemble.made([9, 2, 10], threads=2) + [ensemble[-3], pickle.loads(pickle.dumps(ensemble))[4]]
    for shot in made:
        other = written[shot.index]
        assert shot.counts.dtype == np.int32 and np.array_equal(shot.counts, other.counts)
        assert shot.spot_mask.dtype == np.uint8 and np.array_equal(shot.spot_mask, other.spot_mask)
        assert shot.labels.keys() == other.labels.keys()
        for name, value in shot.labels.items():
            assert value.dtype == other.labels[name].dtype and np.array_equal(value, other.labels[name]), name
        assert {*shot.reflections} - {"shot"} == {*other.reflections}
        for name, values in other.reflections.items():
            assert np.array_equal(shot.reflections[name], values), name
    assert [shot.index for shot in made] == [9, 2, 10, 8, 4]
    with pytest.raises(IndexError, match="there are 11 shots, and 11 is none"):
        ensemble[11]


def test_reflections_have_the_spacing_of_their_planes(folder):
    from nablabragg.shots import Shots

    for shot in (Shots(folder)[i] for i in (0, 7)):
        h, k, l = shot.reflections["hkl"].T
        d = 1 / np.sqrt((h / 50) ** 2 + (k / 60) ** 2 + (l / 70) ** 2)
        assert len(d) > 0 and np.allclose(shot.reflections["resolution"], d, rtol=1e-12)


@pytest.mark.parametrize("more", ["", " -water 0.2 -diffuse_sigma 0.3 -diffuse_gamma 15"])
def test_the_mask_is_of_the_lattices_light_and_the_resolution_that_of_its_finest_pixel(program, tmp_path, more):
    from nablabragg.shots import Ensemble

    (tmp_path / "e.yaml").write_text(
        f"ensemble: 1\nbase: {FLAGS.replace(chr(10), ' ')}{more}\nshots: 6\norientation: random\nhit_rate: 0.7\n"
        f"output: {{folder: shots, spot_mask: 0.5}}\n"
    )
    made = Ensemble(tmp_path / "e.yaml").made([0, 1, 5])
    assert [int(shot.labels["hit"]) for shot in made] == [1, 1, 0]
    for shot in made:
        if not shot.labels["hit"]:
            assert not shot.spot_mask.any() and np.isinf(shot.labels["resolution"])
            continue
        turned = (FLAGS + more).split() + ["-misset", *(repr(angle) for angle in shot.labels["misset"].tolist())]
        light = nb.pixel_truth(nb.parse(turned)).parts["lattice"]
        assert 0 < shot.spot_mask.sum() < shot.spot_mask.size / 2
        assert np.array_equal(shot.spot_mask, light >= 0.5)
        # A resolution limit just beyond the finest pixels takes the light of spots away, one just before it does not.
        for factor, lost in ((1 - 1e-9, False), (1 + 1e-9, True)):
            limit = ["-dmin", repr(float(shot.labels["resolution"]) * factor)]
            dark = shot.spot_mask & (nb.pixel_truth(nb.parse(turned + limit)).parts["lattice"] == 0)
            assert dark.any() == lost, factor


def test_labels_say_how_each_crystal_lies_and_whose_a_reflection_is(tmp_path):
    from nablabragg.shots import Ensemble

    (tmp_path / "e.yaml").write_text(
        f"ensemble: 1\nbase: {FLAGS.replace(chr(10), ' ')} -more_crystal 0 0 0 0.5\nshots: 3\n"
        f"orientation: random_each\nreadout: photons\noutput: {{folder: shots, reflections: true}}\n"
    )
    ensemble = Ensemble(tmp_path / "e.yaml")
    assert {"misset", "orientation", "crystal[1].misset", "crystal[1].real_axes"} <= set(ensemble.label_names())
    for shot in ensemble.made([0, 2]):
        angles = [[repr(x) for x in shot.labels[name].tolist()] for name in ("misset", "crystal[1].misset")]
        flags = FLAGS.split() + ["-misset", *angles[0], "-more_crystal", *angles[1], "0.5"]
        assert np.array_equal(shot.counts, nb.simulate(nb.parse(flags)))
        assert set(shot.reflections["crystal"]) == {0, 1}


def test_what_is_not_there_is_said(folder, tmp_path):
    from nablabragg.shots import Shots

    with pytest.raises(IndexError, match="there are 11 shots, and 11 is none"):
        Shots(folder)[11]
    with pytest.raises(KeyError, match="no label distence; they have"):
        Shots(folder).labels("distence")
    with pytest.raises(FileNotFoundError, match="holds no shard"):
        Shots(tmp_path)


def test_shots_are_read_in_other_processes(folder):
    from nablabragg.shots import Shots

    shots = Shots(folder)
    before = shots[5].counts
    assert np.array_equal(pickle.loads(pickle.dumps(shots))[5].counts, before)


def test_parts_are_all_numbers_each_once():
    from nablabragg.shots import share_of

    numbers = np.arange(23)
    parts = [share_of(numbers, 3, 1, part, 4) for part in range(4)]
    assert sorted(np.concatenate(parts)) == list(range(23))
    assert np.array_equal(share_of(numbers, 3, 1, 0, 4), parts[0])
    assert not np.array_equal(share_of(numbers, 3, 2, 0, 4), parts[0])
    assert np.array_equal(share_of(numbers, None, 0, 1, 2), numbers[1::2])


@pytest.mark.parametrize("source", ["shots", "e.yaml"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_each_shot_once(folder, workers, source):
    torch = pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    from nablabragg.torch import ShotDataset

    # Threads of this process are none of a worker's.
    nb.simulate(nb.parse(FLAGS.split()), threads=2)
    dataset = ShotDataset(folder.parent / source, labels=["index", "orientation", "hit", "spot_mask"], seed=1)
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=workers)
    seen = []
    for images, labels in loader:
        assert images.dtype == torch.float32 and images.shape[1:] == (32, 32)
        assert labels["orientation"].dtype == torch.float64 and labels["orientation"].shape[1:] == (3, 3)
        assert labels["hit"].dtype == torch.int64
        assert labels["spot_mask"].dtype == torch.uint8 and labels["spot_mask"].shape == images.shape
        seen += labels["index"].tolist()
    assert sorted(seen) == list(range(11)) and (workers > 0 or seen != sorted(seen))


def test_ranks_share_the_shots_and_epochs_shuffle_them(folder):
    pytest.importorskip("torch", reason="torch is not installed (Debian: python3-torch)")
    from nablabragg.torch import ShotDataset

    def order(epoch, rank, ranks):
        dataset = ShotDataset(folder, labels=["index"], seed=4, rank=rank, ranks=ranks)
        dataset.set_epoch(epoch)
        found = [int(labels["index"]) for _, labels in dataset]
        assert len(found) == len(dataset)
        return found

    parts = [order(0, rank, 3) for rank in range(3)]
    assert sorted(sum(parts, [])) == list(range(11))
    assert order(0, 1, 3) == parts[1]
    assert order(1, 0, 1) != order(0, 0, 1)
    with pytest.raises(ValueError, match="rank 3 is none of 3"):
        ShotDataset(folder, rank=3, ranks=3)
    with pytest.raises(KeyError, match="no label"):
        ShotDataset(folder, labels=["nothing"])

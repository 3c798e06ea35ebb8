#!/usr/bin/env bash
# DIALS 3.12.1 (Debian 12: python3-dials 3.12.1+dfsg3-5, python3-cctbx 2022.9+ds2+~3.11.2+ds1-6+b1): dials.index indexes no
# still, however good; the same spots are indexed by its indexer of sequences.
#
# The indexer of stills, which stills get by default, estimates the mosaicity of every candidate with cctbx' package
# xfel.mono_simulation.  The Debian package holds that one's Python part and not its compiled module, xfel_mono_sim_ext.
# The ImportError counts as a candidate that could not be refined, and the program ends with
# "No suitable indexing solution found", as if the spots were bad (several stills with joint_indexing=False end with "list
# index out of range").
#
# Seen: default: No suitable indexing solution found   stills.indexer=sequences: 40.0 50.0 60.0
#
# Needs apt-get, dpkg-deb, python3 and what these packages depend on, of Debian 12 (bookworm), amd64.  Fails when the behaviour
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download python3-dials=3.12.1+dfsg3-5 'python3-cctbx=2022.9+ds2+~3.11.2+ds1-6+b1'
for package in python3-*.deb; do dpkg-deb -x "$package" .; done
export PYTHONPATH=$folder/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1

# A still of an orthorhombic crystal: the spots within 0.2 degrees of the Ewald sphere, where they are without any error.
/usr/bin/python3 - <<'PYTHON'
import json
import numpy as np
from dials.array_family import flex

wavelength, distance, pixel, size = 1.0, 150.0, 0.1, 2000
angles = np.radians([20, 35, 50])
c, s = np.cos(angles), np.sin(angles)
turn = (np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
        @ np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
        @ np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]]))
h = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in (16, 20, 24)], indexing="ij"), -1).reshape(-1, 3)
q = h @ np.linalg.inv(np.diag([40.0, 50.0, 60.0])) @ turn.T
length = np.linalg.norm(q, axis=1)
h, q, length = (x[(length > 0) & (length < 0.4)] for x in (h, q, length))
beam = np.array([0, 0, -1.0])
along, across = q @ beam, q - np.outer(q @ beam, beam)
on_sphere = -wavelength * length**2 / 2
missed = np.arcsin(along / length) - np.arcsin(on_sphere / length)
seen = np.abs(np.degrees(missed)) < 0.2
width = np.sqrt(length**2 - on_sphere**2)
q = (on_sphere[:, None] * beam + (width / np.linalg.norm(across, axis=1))[:, None] * across)[seen]
ray = beam / wavelength + q
place = ray * (-distance / ray[:, 2])[:, None]
fast, slow = place[:, 0] / pixel + size / 2, -place[:, 1] / pixel + size / 2
inside = (fast > 0) & (fast < size) & (slow > 0) & (slow < size)
fast, slow = fast[inside], slow[inside]
count = len(fast)

spots = flex.reflection_table()
spots["id"] = flex.int(count, 0)
spots["imageset_id"] = flex.int(count, 0)
spots["panel"] = flex.size_t(count, 0)
spots["xyzobs.px.value"] = flex.vec3_double([(x, y, 0.5) for x, y in zip(fast, slow)])
spots["xyzobs.px.variance"] = flex.vec3_double(count, (0.1, 0.1, 0.1))
spots["intensity.sum.value"] = flex.double(count, 1000)
spots["intensity.sum.variance"] = flex.double(count, 1000)
spots["flags"] = flex.size_t(count, int(spots.flags.strong))
spots.as_file("strong.refl")
panel = {"name": "Panel", "type": "SENSOR_PAD", "fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0],
         "origin": [-size * pixel / 2, size * pixel / 2, -distance], "raw_image_offset": [0, 0], "image_size": [size, size],
         "pixel_size": [pixel, pixel], "trusted_range": [0, 1e6], "thickness": 0, "material": "", "mu": 0,
         "identifier": "", "mask": [], "gain": 1, "pedestal": 0, "px_mm_strategy": {"type": "SimplePxMmStrategy"}}
model = {"__id__": "ExperimentList", "profile": [], "goniometer": [], "scan": [], "crystal": [], "scaling_model": [],
         "experiment": [{"__id__": "Experiment", "identifier": "", "beam": 0, "detector": 0, "imageset": 0}],
         "imageset": [{"__id__": "ImageSet", "images": ["still.cbf"], "single_file_indices": [0], "mask": None, "gain": None,
                       "pedestal": None, "dx": None, "dy": None, "params": {}}],
         "beam": [{"direction": [0, 0, 1], "wavelength": wavelength, "divergence": 0, "sigma_divergence": 0,
                   "polarization_normal": [0, 1, 0], "polarization_fraction": 0.999, "flux": 0, "transmission": 1}],
         "detector": [{"panels": [panel],
                       "hierarchy": {"name": "", "type": "", "fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0],
                                     "origin": [0, 0, 0], "raw_image_offset": [0, 0], "image_size": [0, 0],
                                     "pixel_size": [0, 0], "trusted_range": [0, 0], "thickness": 0, "material": "",
                                     "mu": 0, "identifier": "", "mask": [], "gain": 1, "pedestal": 0,
                                     "px_mm_strategy": {"type": "SimplePxMmStrategy"}, "children": [{"panel": 0}]}}]}
json.dump(model, open("still.expt", "w"))
print(f"{count} spots")
PYTHON

index() {
  /usr/bin/python3 -m dials.command_line.index still.expt strong.refl detector.fix=all beam.fix=all \
    known_symmetry.space_group=P222 known_symmetry.unit_cell=40,50,60,90,90,90 "$@"
}

if index output.log=default.log >default.out 2>&1; then
  echo 'dials.index indexes stills now' >&2
  exit 1
fi
grep -q 'No suitable indexing solution found' default.out
grep -q "Couldn't refine candidate 0, ImportError: .*xfel_mono_sim_ext" default.log
[[ -f usr/lib/python3/dist-packages/xfel/mono_simulation/max_like.py && -z $(find usr -name 'xfel_mono_sim_ext*') ]]
index stills.indexer=sequences output.log=sequences.log >sequences.out 2>&1
cell=$(/usr/bin/python3 -c 'import json; c, = json.load(open("indexed.expt"))["crystal"]
print(*("%.1f" % sum(x * x for x in c["real_space_" + axis]) ** 0.5 for axis in "abc"))')
echo "default: No suitable indexing solution found   stills.indexer=sequences: $cell"
[[ $cell == '40.0 50.0 60.0' ]]

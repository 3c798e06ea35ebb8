#!/usr/bin/env bash
# dxtbx 3.11 (Debian 12: python3-cctbx 2022.9+ds2+~3.11.2+ds1-6+b1): 4094 and 4095 counts of an EIGER are no counts, and its marks
# 65534 and 65535 are.
#
# In files of DECTRIS' servers the two largest values mark pixels without a count: of as many bits as the image has, which is
# bit_depth_image, DECTRIS' own field.  NXmx has bit_depth_readout alone, the bits that the electronics count to before they add up,
# and FormatNXmx.get_raw_data() takes those: 12 for an EIGER whose images have 16.  Later versions read bit_depth_image first.
# A reader of NXmx has to look for it as well.
#
# Seen: in the file: 100 4094 4095 65534 65535   dxtbx: 100 -2 -1 65534 65535
#
# Needs apt-get, dpkg-deb, python3, python3-h5py and what the package depends on, of Debian 12 (bookworm), amd64.  Fails when the
# behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download 'python3-cctbx=2022.9+ds2+~3.11.2+ds1-6+b1'
dpkg-deb -x python3-cctbx*.deb .
export PYTHONPATH=$folder/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1

/usr/bin/python3 - <<'PYTHON'
import logging, warnings

import h5py
import numpy as np

counts = [100, 4094, 4095, 65534, 65535]


def group(parent, name, nexus):
    made = parent.create_group(name)
    made.attrs["NX_class"] = np.bytes_(nexus)
    return made


def value(parent, name, number, **attributes):
    made = parent.create_dataset(name, data=number)
    for key, attribute in attributes.items():
        made.attrs[key] = np.bytes_(attribute) if isinstance(attribute, str) else np.array(attribute, float)


with h5py.File("eiger.nxs", "w") as f:
    entry = group(f, "entry", "NXentry")
    value(entry, "definition", np.bytes_("NXmx"))
    data = group(entry, "data", "NXdata")
    data.attrs["signal"] = "data"
    data["data"] = np.array(counts, "u2").reshape(1, 1, 5)
    instrument = group(entry, "instrument", "NXinstrument")
    value(group(instrument, "beam", "NXbeam"), "incident_wavelength", 1.0, units="angstrom")
    sample = group(entry, "sample", "NXsample")
    value(sample, "depends_on", np.bytes_("."))
    detector = group(instrument, "detector", "NXdetector")
    value(detector, "sensor_material", np.bytes_("Si"))
    value(detector, "sensor_thickness", 4.5e-4, units="m")
    value(detector, "bit_depth_readout", 12)
    value(detector, "bit_depth_image", 16)
    axes = group(detector, "transformations", "NXtransformations")
    value(axes, "z", [0.1], units="m", transformation_type="translation", vector=[0, 0, 1], depends_on=".")
    module = group(detector, "module", "NXdetector_module")
    module["data_origin"], module["data_size"] = [0, 0], [1, 5]
    place = dict(units="m", transformation_type="translation", depends_on="/entry/instrument/detector/transformations/z")
    value(module, "module_offset", [1e-3], vector=[1, 1, 0], **place)
    place["depends_on"] = "/entry/instrument/detector/module/module_offset"
    value(module, "fast_pixel_direction", [7.5e-5], vector=[-1, 0, 0], **place)
    value(module, "slow_pixel_direction", [7.5e-5], vector=[0, -1, 0], **place)

warnings.simplefilter("ignore")
logging.disable()
from dxtbx.format.FormatNXmx import FormatNXmx

seen = [int(count) for count in FormatNXmx("eiger.nxs").get_raw_data(0)[0]]
listed = lambda numbers: " ".join(map(str, numbers))
print(f"in the file: {listed(counts)}   dxtbx: {listed(seen)}")
assert seen == [100, -2, -1, 65534, 65535], "the marks are others"
PYTHON

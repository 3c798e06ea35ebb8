#!/usr/bin/env bash
# dxtbx 3.11 (Debian 12: python3-cctbx 2022.9+ds2+~3.11.2+ds1-6+b1): a scan whose angle falls is made, used and written to an .expt, and
# cannot be read from it.
#
# Scan((1, 3), (10, -0.5)) has the angles 10, 9.5 and 9.  as_file() writes them; from_file(), and pickle, which multiprocessing needs,
# stop at an assertion that the width is not negative.  A writer of .expt has to turn the axis over and count upwards.
#
# Seen: made: 10.0 9.5 9.0   pickled: refused   read back: refused
#
# Needs apt-get, dpkg-deb, python3 and what the package depends on, of Debian 12 (bookworm), amd64.  Fails when the behaviour
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq download 'python3-cctbx=2022.9+ds2+~3.11.2+ds1-6+b1'
dpkg-deb -x python3-cctbx*.deb .
export PYTHONPATH=$folder/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1

/usr/bin/python3 - <<'PYTHON'
import pickle

from dxtbx.model import BeamFactory, Detector, Experiment, GoniometerFactory, Panel, Scan
from dxtbx.model.experiment_list import ExperimentList

scan = Scan((1, 3), (10.0, -0.5))
angles = [round(scan.get_angle_from_image_index(image), 9) for image in (1, 2, 3)]


def refused(action):
    try:
        action()
    except RuntimeError as error:
        assert "oscillation_[1] >= 0.0" in str(error), error
        return "refused"
    return "taken"


experiment = Experiment(beam=BeamFactory.simple(1.0), detector=Detector(Panel()),
                        goniometer=GoniometerFactory.single_axis(), scan=scan)
ExperimentList([experiment]).as_file("falling.expt")
pickled = refused(lambda: pickle.loads(pickle.dumps(scan)))
read = refused(lambda: ExperimentList.from_file("falling.expt", check_format=False))
print("made:", *angles, f"  pickled: {pickled}   read back: {read}")
assert angles == [10.0, 9.5, 9.0], "the angles do not fall"
assert (pickled, read) == ("refused", "refused"), "such scans are read now"
PYTHON

#!/usr/bin/env bash
# dxtbx 3.11 (Debian 12: python3-cctbx 2022.9+ds2+~3.11.2+ds1-6+b1): all panels of an imgCIF file have the number of pixels of the last one.
#
# imgCIF states dimensions for each array, and the pixels behind it repeat them.  FormatCBFMultiTileHierarchy._detector() asks for
# cbf.get_image_size_fs(i) with the i that an earlier loop left behind, which is the last panel's.  Places and pixel sizes are each
# panel's own, so positions within the wrong size look right.  A writer of several panels has to refuse those of unlike sizes.
#
# Seen: in the file: wide 30 x 12, tall 20 x 16   dxtbx: wide 20 x 16, tall 20 x 16
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
import base64, hashlib, logging, warnings

sizes = {"wide": (30, 12), "tall": (20, 16)}
text = []


def loop(category, columns, rows):
    text.append("loop_")
    text.extend(f"_{category}.{column}" for column in columns.split())
    text.extend(rows)


text.append("_diffrn.id DIFFRN")
loop("diffrn_radiation", "diffrn_id wavelength_id probe", ["DIFFRN WAVELENGTH x-ray"])
loop("diffrn_radiation_wavelength", "id wavelength wt", ["WAVELENGTH 1 1.0"])
loop("diffrn_detector", "diffrn_id id type number_of_axes", ["DIFFRN DETECTOR 'two panels' 1"])
loop("diffrn_detector_axis", "detector_id axis_id", ["DETECTOR FRAME_AXIS"])
loop("diffrn_detector_element", "id detector_id", [f"ELEMENT_{n} DETECTOR" for n in sizes])
loop("diffrn_data_frame", "id detector_element_id array_id binary_id",
     [f"FRAME ELEMENT_{n} ARRAY_{n} {i}" for i, n in enumerate(sizes, 1)])
axes = ["SOURCE general source . 0 0 1 . . . .", "GRAVITY general gravity . 0 -1 0 . . . .",
        "FRAME_AXIS translation detector . 0 0 1 0 0 0 level_0"]
for i, n in enumerate(sizes):
    axes += [f"SLOW_{n} translation detector FRAME_AXIS 0 -1 0 -2 {4 * i} -60 level_1",
             f"FAST_{n} translation detector SLOW_{n} 1 0 0 0 0 0 level_1"]
loop("axis", "id type equipment depends_on vector[1] vector[2] vector[3] offset[1] offset[2] offset[3] equipment_component", axes)
loop("diffrn_scan", "id frame_id_start frame_id_end frames", ["SCAN FRAME FRAME 1"])
names = ["FRAME_AXIS", *(f"{kind}_{n}" for n in sizes for kind in ("SLOW", "FAST"))]
loop("diffrn_scan_axis", "scan_id axis_id angle_start angle_range angle_increment displacement_start displacement_range "
     "displacement_increment", [f"SCAN {n} 0 0 0 0 0 0" for n in names])
loop("diffrn_scan_frame", "frame_id frame_number integration_time scan_id date", ["FRAME 1 0 SCAN 2026-01-01T00:00:00"])
loop("diffrn_scan_frame_axis", "frame_id axis_id angle displacement", [f"FRAME {n} 0 0" for n in names])
loop("array_structure_list", "array_id index dimension precedence direction axis_set_id",
     [f"ARRAY_{n} {k} {sizes[n][k - 1]} {k} increasing {kind}_{n}" for n in sizes for k, kind in ((1, "FAST"), (2, "SLOW"))])
loop("array_structure_list_axis", "axis_set_id axis_id displacement displacement_increment",
     [f"{kind}_{n} {kind}_{n} 0.1 0.2" for n in sizes for kind in ("FAST", "SLOW")])
loop("array_element_size", "array_id index size", [f"ARRAY_{n} {k} 0.0002" for n in sizes for k in (1, 2)])
loop("array_intensities", "array_id binary_id linearity gain gain_esd overload undefined_value",
     [f"ARRAY_{n} {i} linear 1 . 1000000 -1" for i, n in enumerate(sizes, 1)])
loop("array_structure", "id encoding_type compression_type byte_order",
     [f'ARRAY_{n} "signed 32-bit integer" byte_offsets little_endian' for n in sizes])
loop("array_data", "array_id binary_id data", [])
cbf = ("###CBF: VERSION 1.5\n\ndata_image_1\n\n" + "\n".join(text) + "\n").encode()
for i, (n, (fast, slow)) in enumerate(sizes.items(), 1):
    data = bytes(fast * slow)  # by byte offsets: nothing but zeros
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    cbf += (f"ARRAY_{n} {i}\n;\n--CIF-BINARY-FORMAT-SECTION--\nContent-Type: application/octet-stream;\n"
            f'     conversions="x-CBF_BYTE_OFFSET"\nContent-Transfer-Encoding: BINARY\nX-Binary-Size: {len(data)}\nX-Binary-ID: {i}\n'
            'X-Binary-Element-Type: "signed 32-bit integer"\nX-Binary-Element-Byte-Order: LITTLE_ENDIAN\n'
            f"Content-MD5: {md5}\nX-Binary-Number-of-Elements: {fast * slow}\nX-Binary-Size-Fastest-Dimension: {fast}\n"
            f"X-Binary-Size-Second-Dimension: {slow}\nX-Binary-Size-Third-Dimension: 1\nX-Binary-Size-Padding: 4095\n\n").encode()
    cbf += b"\x0c\x1a\x04\xd5" + data + bytes(4095) + b"\n--CIF-BINARY-FORMAT-SECTION----\n;\n"
open("panels_0001.cbf", "wb").write(cbf)

warnings.simplefilter("ignore")
logging.disable()
import dxtbx

detector = dxtbx.load("panels_0001.cbf").get_detector()
listed = lambda pairs: ", ".join(f"{name} {fast} x {slow}" for name, (fast, slow) in pairs)
seen = [(panel.get_name().removeprefix("ARRAY_"), tuple(panel.get_image_size())) for panel in detector]
print(f"in the file: {listed(sizes.items())}   dxtbx: {listed(seen)}")
assert [name for name, _ in seen] == list(sizes), "the panels are others"
assert {size for _, size in seen} == {sizes["tall"]}, "panels have sizes of their own now"
PYTHON

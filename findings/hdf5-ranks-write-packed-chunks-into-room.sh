#!/usr/bin/env bash
# Parallel HDF5 1.10.8 (Debian 12: libhdf5-openmpi-103-1 1.10.8+repack1-1): ranks may write packed chunks of a compressed data set each by
# itself, at any time, where the file has room of exactly each chunk's length.
#
# What one reads is that a compressed data set takes collective writes alone, and H5Dwrite() says so at once ("Can't perform independent
# write with filters in pipeline").  H5Dwrite_chunk() has no such rule, and with the room made before by one process all is right.
# Nothing checks that the room is there: without it ranks heard of no error, and the file could not be closed.
#
# Seen: packed: 0 fail, closed, 0 differ; unpacked: 100 fail, closed
#
# Needs libhdf5-openmpi-dev and openmpi-bin of Debian 12 (bookworm).  Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >chunks.c <<'C'
// chunks FILE room|packed|unpacked|count: chunk i is 50 + i % 30 bytes, all of them 1 + i % 100
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

enum { chunks = 100 };

static hid_t data_of(hid_t file, int make) {
  if (!make) return H5Dopen2(file, "data", H5P_DEFAULT);
  const hsize_t shape[3] = {chunks, 8, 8}, chunk[3] = {1, 8, 8};
  const hid_t space = H5Screate_simple(3, shape, NULL), how = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(how, 3, chunk);
  H5Pset_shuffle(how);
  H5Pset_deflate(how, 1);
  return H5Dcreate2(file, "data", H5T_STD_I32LE, space, H5P_DEFAULT, how, H5P_DEFAULT);
}

static int write_unpacked(hid_t data, hsize_t chunk) {
  const hsize_t begin[3] = {chunk, 0, 0}, shape[3] = {1, 8, 8};
  const int values[64] = {0};
  const hid_t space = H5Dget_space(data), memory = H5Screate_simple(3, shape, NULL);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, begin, NULL, shape, NULL);
  return H5Dwrite(data, H5T_NATIVE_INT, memory, space, H5P_DEFAULT, values) < 0;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1, failed = 0, differ = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const char* what = argv[2];
  const int is_room = !strcmp(what, "room"), counts = !strcmp(what, "count"), unpacked = !strcmp(what, "unpacked");
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (!is_room && !counts) H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
  const hid_t file = is_room ? H5Fcreate(argv[1], H5F_ACC_TRUNC, H5P_DEFAULT, access)
                             : H5Fopen(argv[1], counts ? H5F_ACC_RDONLY : H5F_ACC_RDWR, access);
  const hid_t data = data_of(file, is_room);
  for (int i = rank; i < chunks; i += ranks) {
    const hsize_t begin[3] = {(hsize_t)i, 0, 0};
    const size_t bytes = 50 + (size_t)i % 30;
    unsigned char written[256], read[4096] = {0};
    memset(written, is_room ? 0 : 1 + i % 100, sizeof written);
    if (counts) {
      hsize_t length = 0;
      uint32_t filters = 0;
      differ += H5Dget_chunk_storage_size(data, begin, &length) < 0 || length != bytes ||
                H5Dread_chunk(data, H5P_DEFAULT, begin, &filters, read) < 0 || memcmp(read, written, bytes) != 0;
    } else {
      failed += unpacked ? write_unpacked(data, (hsize_t)i)
                         : H5Dwrite_chunk(data, H5P_DEFAULT, 0, begin, bytes, written) < 0;
    }
  }
  int of_all[2] = {0, 0};
  const int of_rank[2] = {failed, differ};
  MPI_Reduce(of_rank, of_all, 2, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0 && counts) printf(", %d differ", of_all[1]);
  if (rank == 0 && !counts && !is_room) printf("%d fail", of_all[0]);
  fflush(stdout);
  const int closed = H5Dclose(data) >= 0 && H5Fclose(file) >= 0;
  if (rank == 0 && closed && !counts && !is_room) printf(", closed");
  MPI_Finalize();
  return 0;
}
C
# shellcheck disable=SC2046  # several words
mpicc chunks.c -o chunks $(pkg-config --cflags --libs hdf5-openmpi)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
said_of() { timeout 60 mpirun -n "$1" ./chunks "$2" "$3" 2>/dev/null || true; }
said_of 1 room.h5 room
cp room.h5 other.h5
seen="packed: $(said_of 2 room.h5 packed)$(said_of 1 room.h5 count); unpacked: $(said_of 2 other.h5 unpacked)"
printf '%s\n' "$seen"
[[ $seen == 'packed: 0 fail, closed, 0 differ; unpacked: 100 fail, closed' ]] ||
  { echo 'HDF5 behaves otherwise than described here' >&2; exit 1; }

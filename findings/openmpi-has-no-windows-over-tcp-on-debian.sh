#!/usr/bin/env bash
# Open MPI 4.1.4 (Debian 12: libopenmpi3 4.1.4-3+b1): MPI_Win_allocate fails as soon as the ranks are on two machines that talk by TCP.
#
# One-sided communication is part of MPI, and on one machine it works.  Debian's /etc/openmpi/openmpi-mca-params.conf has the line
# "osc = ^ucx,pt2pt": of the components that could make a window it leaves "sm", for ranks of one machine, and "rdma", for networks
# that write into another machine's memory.  Over TCP none is left, and the call ends the program with "MPI_ERR_WIN: invalid window",
# which says nothing of it.  With OMPI_MCA_osc=^ucx the same program runs.  A test on one machine, also with --mca btl tcp,self, does
# not show it.
#
# Two machines are here two namespaces: another name, another /dev/shm.
#
# Seen: one machine ok, two machines MPI_ERR_WIN, two machines with pt2pt ok
#
# Needs g++, libopenmpi-dev and openmpi-bin of Debian 12 (bookworm), and unshare.  Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >window.c <<'C'
#include <mpi.h>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  long* numbers = 0;
  MPI_Win window;
  MPI_Win_allocate(sizeof(long), sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD, &numbers, &window);
  MPI_Win_free(&window);
  MPI_Finalize();
  return 0;
}
C
mpicc window.c -o window
# machine NAME COMMAND...: what mpirun calls in place of ssh
cat >machine <<'SH'
#!/bin/sh
exec unshare --mount --uts --map-root-user sh -c 'hostname "$0" && mount -t tmpfs tmpfs /dev/shm && eval "$*"' "$@"
SH
chmod +x machine
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=rsh
export OMPI_MCA_plm_rsh_agent=$folder/machine OMPI_MCA_rmaps_base_oversubscribe=1

said_of() {  # said_of MPIRUN-ARGUMENTS...
  if mpirun -n 2 "$@" ./window >said 2>&1; then
    printf ok
  else
    grep -om 1 MPI_ERR_WIN said || cat said
  fi
}
seen="one machine $(said_of --mca btl tcp,self), two machines $(said_of --host first,second), two machines with pt2pt $(
  OMPI_MCA_osc=^ucx said_of --host first,second)"
printf '%s\n' "$seen"
[[ $seen == 'one machine ok, two machines MPI_ERR_WIN, two machines with pt2pt ok' ]] ||
  { echo 'Open MPI behaves otherwise than described here' >&2; exit 1; }

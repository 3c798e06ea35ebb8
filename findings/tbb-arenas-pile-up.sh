#!/usr/bin/env bash
# oneTBB 2021.8 (Debian 12: libtbb12 2021.8.0-2+deb12u1): a task_arena that is made, used once and destroyed, again and again, stays in memory.
#
# task_arena is a small object on the stack, and its destructor looks as if it gave back what it has.  The arena behind it lives until
# the last worker has left it, and workers do not leave while there is always another loop: 4 to 8 kB pile up for each arena of two slots,
# 17 kB for one of eight.  Once all workers rest, after a millisecond without a loop, it is used again.  A program that makes an arena for
# each image of a long series grows without end; with one that is kept it does not.
#
# Seen: new 7.4 kB a loop, kept 0.0 kB a loop
#
# Needs apt-get, dpkg-deb, g++ and two processors, of Debian 12 (bookworm), amd64.  Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
version=2021.8.0-2+deb12u1
apt-get -qq download "libtbb-dev=$version" "libtbb12=$version" "libtbbmalloc2=$version"
for package in *.deb; do dpkg-deb -x "$package" .; done
library=$folder/usr/lib/x86_64-linux-gnu
cat >arenas.cpp <<'CPP'
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <unistd.h>
#include <cstdio>
#include <fstream>

double resident_kB() {
  std::ifstream statm("/proc/self/statm");
  double whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * sysconf(_SC_PAGESIZE) / 1e3;
}

void loop(tbb::task_arena& arena) {
  arena.execute([] {
    tbb::parallel_for(0, 64, [](int n) {
      volatile double sum = 0;
      for (int k = 0; k < 300; ++k) sum = sum + k * n;
    });
  });
}

template <class Loop>
double kB_a_loop(Loop&& one) {
  for (int i = 0; i < 500; ++i) one();
  const double before = resident_kB();
  for (int i = 0; i < 2000; ++i) one();
  return (resident_kB() - before) / 2000;
}

int main() {
  tbb::task_arena kept(2);
  const double of_kept = kB_a_loop([&] { loop(kept); });
  const double of_new = kB_a_loop([] {
    tbb::task_arena arena(2);
    loop(arena);
  });
  std::printf("new %.1f kB a loop, kept %.1f kB a loop\n", of_new, of_kept);
  return of_new > 2 && of_kept < 0.5 ? 0 : 1;
}
CPP
g++ -O2 -std=c++17 -I"$folder/usr/include" arenas.cpp -L"$library" -Wl,-rpath,"$library" -ltbb -o arenas
./arenas || { echo 'oneTBB behaves otherwise than described here' >&2; exit 1; }

#!/usr/bin/env bash
# cpp-httplib 0.11.4 (Debian 12: libcpp-httplib-dev 0.11.4+ds-1+deb12u1): two servers take the same port, and both are told that
# they have it.
#
# Its default socket options set SO_REUSEPORT where the system has it, so bind_to_port() of a second server of the same user
# succeeds, and the system deals connections to both by turns: half of a page's requests reach a program that knows nothing of
# them.  With options of one's own (SO_REUSEADDR alone) the second bind fails, as one expects.
#
# Seen: by default 1 1, with SO_REUSEADDR alone 1 0
#
# Needs g++ and libcpp-httplib-dev of Debian 12 (bookworm).  Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/two.cpp" <<'CPP'
#include <httplib.h>

#include <cstdio>

int main() {
  httplib::Server a, b;
  const int port = a.bind_to_any_port("127.0.0.1");
  const bool second = b.bind_to_port("127.0.0.1", port);
  httplib::Server c, d;
  const auto reuse = [](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  };
  c.set_socket_options(reuse);
  d.set_socket_options(reuse);
  const int other = c.bind_to_any_port("127.0.0.1");
  const bool refused = d.bind_to_port("127.0.0.1", other);
  std::printf("by default %d %d, with SO_REUSEADDR alone %d %d\n", port > 0, second, other > 0, refused);
}
CPP
read -ra flags <<<"$(pkg-config --cflags --libs cpp-httplib)"
g++ -std=c++17 -o "$folder/two" "$folder/two.cpp" "${flags[@]}" -lssl -lcrypto
"$folder/two" | tee "$folder/seen"
grep -qx 'by default 1 1, with SO_REUSEADDR alone 1 0' "$folder/seen"

// Spectra in a .npz: bytes that claim to be one; else the .npy of the weights in an archive whose
// sums are right.
#include <minizip/zip.h>

#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "nablabragg/spectra.hpp"
#include "read_bytes.hpp"

namespace {

using namespace nablabragg;

void look_at(const std::string& path) {
  const Spectra spectra = read_spectra(path, SpectrumUnit::eV);
  if (spectra.shots() < 1 || spectra.shot(0).weight.empty()) std::abort();
}

/// The .npy of three energies.
std::string axis() {
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n";
  const double energies[] = {9000, 9100, 9050};
  std::string bytes = std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) +
                      '\0' + header + std::string(sizeof energies, '\0');
  std::memcpy(bytes.data() + bytes.size() - sizeof energies, energies, sizeof energies);
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size >= 2 && data[0] == 'P' && data[1] == 'K') {
    fuzz::read_bytes(data, size, look_at);
    return 0;
  }
  static const std::string of_axis = axis();
  static const std::string path = "/tmp/nablabragg-fuzz-" + std::to_string(getpid()) + ".npz";
  const zipFile archive = zipOpen64(path.c_str(), APPEND_STATUS_CREATE);
  if (!archive) std::abort();
  const auto add = [&](const char* name, std::span<const std::uint8_t> content) {
    const zip_fileinfo about{};
    zipOpenNewFileInZip(archive, name, &about, nullptr, 0, nullptr, 0, nullptr, 0, 0);
    zipWriteInFileInZip(archive, content.data(), static_cast<unsigned>(content.size()));
    zipCloseFileInZip(archive);
  };
  add("weights.npy", {data, size});
  add("energy.npy", {reinterpret_cast<const std::uint8_t*>(of_axis.data()), of_axis.size()});
  zipClose(archive, nullptr);
  try {
    look_at(path);
  } catch (const Error&) {
  }
  return 0;
}

// One file of HDF5 into which all ranks write, by the build of the library for MPI.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "io/laid_out_file.hpp"

namespace nablabragg::mpi {

/// `calls` is held during every call of MPI, those within HDF5 among them; `wait_for_all` comes
/// before those in which ranks wait for each other.  Throws OutputError.
std::unique_ptr<io::LaidOutFile> open_file_of_ranks(const std::string& path, std::mutex& calls,
                                                    const std::function<void()>& wait_for_all);

}  // namespace nablabragg::mpi

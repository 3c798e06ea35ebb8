// Each packed image has its room in the file before: a rank that makes room by itself, as
// H5Dwrite_chunk() lets it, spoils the file for all
// (findings/hdf5-ranks-write-packed-chunks-into-room.sh).  So nothing that HDF5 knows of the file
// changes here, and each rank writes when it likes.
#include "mpi/plugin/file_of_ranks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>  // for strerror
#include <optional>
#include <utility>

#define OMPI_SKIP_MPICXX 1  // the C++ functions, which the standard has dropped
#include <mpi.h>

#include "io/hdf5_laid_out.hpp"

namespace nablabragg::mpi {

namespace {

class FileOfRanks final : public io::LaidOutFile {
 public:
  FileOfRanks(const std::string& path, std::mutex& calls, std::function<void()> wait_for_all)
      : calls_(calls), wait_for_all_(std::move(wait_for_all)) {
    wait_for_all_();
    const std::lock_guard lock(calls_);
    check_open(path);
    const io::hdf5::Session session;
    const io::hdf5::Properties access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fapl_mpio(access.get(), MPI_COMM_WORLD, MPI_INFO_NULL);
    writer_.emplace(path, access);
    if (!writer_->is_open()) writer_->fail();
  }
  ~FileOfRanks() override {
    if (!open_) return;
    wait_for_all_();
    const std::lock_guard lock(calls_);
    const io::hdf5::Session session;
    writer_.reset();
  }

  void put_image(const std::string& data_set, std::uint64_t image,
                 std::span<const std::byte> packed) override {
    const std::lock_guard lock(calls_);
    const io::hdf5::Session session;
    writer_->put_image(data_set, image, packed);
  }
  void put_rows(const std::string& data_set, std::uint64_t first,
                std::span<const std::byte> rows) override {
    const std::lock_guard lock(calls_);
    const io::hdf5::Session session;
    writer_->put_rows(data_set, first, rows);
  }
  void close() override {
    wait_for_all_();
    const std::lock_guard lock(calls_);
    const io::hdf5::Session session;
    open_ = false;
    if (!writer_->close()) writer_->fail();
  }

 private:
  /// A file that MPI opens on some ranks alone, none of them could close.
  static void check_open(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
    const int error = descriptor < 0 ? errno : 0;
    if (descriptor >= 0) ::close(descriptor);
    int opened = int{error == 0}, by_all = 0;
    MPI_Allreduce(&opened, &by_all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (by_all) return;
    throw OutputError("cannot write " + path + ": " +
                      (error ? std::strerror(error) : "not all ranks can open it"));
  }

  std::mutex& calls_;
  std::function<void()> wait_for_all_;
  bool open_ = true;
  std::optional<io::hdf5::RoomWriter> writer_;
};

}  // namespace

std::unique_ptr<io::LaidOutFile> open_file_of_ranks(const std::string& path, std::mutex& calls,
                                                    const std::function<void()>& wait_for_all) {
  return std::make_unique<FileOfRanks>(path, calls, wait_for_all);
}

}  // namespace nablabragg::mpi

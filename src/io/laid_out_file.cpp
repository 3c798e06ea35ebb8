#include "io/laid_out_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "io/hdf5_laid_out.hpp"
#include "io/hdf5_sink.hpp"
#include "io/series_journal.hpp"  // for cannot_write

namespace nablabragg::io {

namespace {

class OwnLaidOutFile final : public LaidOutFile {
 public:
  explicit OwnLaidOutFile(const std::string& path)
      : path_(path), descriptor_(open(path.c_str(), O_RDWR | O_CLOEXEC)), sink_(descriptor_) {
    if (descriptor_ < 0) cannot_write(path, errno);
    const hdf5::Session session;
    writer_.emplace(path, sink_.access());
    if (writer_->is_open()) return;
    ::close(descriptor_);
    writer_->fail();
  }
  ~OwnLaidOutFile() override {
    const hdf5::Session session;
    writer_.reset();
    ::close(descriptor_);
  }

  void put_image(const std::string& data_set, std::uint64_t image,
                 std::span<const std::byte> packed) override {
    const hdf5::Session session;
    writer_->put_image(data_set, image, packed);
    check();
  }
  void put_rows(const std::string& data_set, std::uint64_t first,
                std::span<const std::byte> rows) override {
    const hdf5::Session session;
    writer_->put_rows(data_set, first, rows);
    check();
  }
  void close() override {
    const hdf5::Session session;
    if (!writer_->close()) writer_->fail();
    check();
  }

 private:
  void check() const {
    if (sink_.error() != 0) cannot_write(path_, sink_.error());
  }

  std::string path_;
  int descriptor_;
  hdf5::Sink sink_;
  std::optional<hdf5::RoomWriter> writer_;
};

}  // namespace

std::unique_ptr<LaidOutFile> open_laid_out(const std::string& path) {
  return std::make_unique<OwnLaidOutFile>(path);
}

}  // namespace nablabragg::io

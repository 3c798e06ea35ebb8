#include "ensemble/part_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "nablabragg/error.hpp"

namespace nablabragg::ensemble {

namespace {

using nlohmann::json;

json json_of(const Vec3d& v) { return {v.x, v.y, v.z}; }
Vec3d vector_of(const json& j) { return {j.at(0), j.at(1), j.at(2)}; }

json json_of(const PredictedSpot& s) {
  return {s.hkl,   s.experiment, s.panel,      s.fast_px,      s.slow_px,
          s.frame, s.photons,    s.partiality, s.wavelength_A, s.phi_deg};
}

PredictedSpot spot_of(const json& j) {
  PredictedSpot s;
  s.hkl = j.at(0).get<MillerIndex>();
  s.experiment = j.at(1);
  s.panel = j.at(2);
  s.fast_px = j.at(3);
  s.slow_px = j.at(4);
  s.frame = j.at(5);
  s.photons = j.at(6);
  s.partiality = j.at(7);
  s.wavelength_A = j.at(8);
  s.phi_deg = j.at(9);
  return s;
}

json json_of(const CrystalLabels& c) {
  return {json_of(c.misset_deg), json_of(c.axes_A.a), json_of(c.axes_A.b), json_of(c.axes_A.c)};
}

CrystalLabels crystal_of(const json& j) {
  return {vector_of(j.at(0)), {vector_of(j.at(1)), vector_of(j.at(2)), vector_of(j.at(3))}};
}

json json_of(const ShotLabels& l) {
  json spots = json::array(), crystals = json::array();
  for (const CrystalLabels& crystal : l.crystals) crystals.push_back(json_of(crystal));
  for (const PredictedSpot& spot : l.reflections) spots.push_back(json_of(spot));
  return {{"index", l.index},
          {"seed", l.seed},
          {"hit", l.hit},
          {"spectrum", l.spectrum},
          {"relative_light", l.relative_light},
          {"wavelength", l.wavelength_A},
          {"photons", l.photons},
          {"brightest", l.brightest},
          {"saturated", l.saturated},
          {"crystals", std::move(crystals)},
          {"values", l.values},
          {"resolution", l.resolution_A},
          {"reflections", std::move(spots)}};
}

ShotLabels labels_of(const json& j) {
  ShotLabels l;
  l.index = j.at("index");
  l.seed = j.at("seed");
  l.hit = j.at("hit");
  l.spectrum = j.at("spectrum");
  l.relative_light = j.at("relative_light");
  l.wavelength_A = j.at("wavelength");
  l.photons = j.at("photons");
  l.brightest = j.at("brightest");
  l.saturated = j.at("saturated");
  l.resolution_A = j.at("resolution");
  for (const json& crystal : j.at("crystals")) l.crystals.push_back(crystal_of(crystal));
  l.values = j.at("values").get<std::vector<std::vector<double>>>();
  for (const json& spot : j.at("reflections")) l.reflections.push_back(spot_of(spot));
  return l;
}

}  // namespace

PartWriter::PartWriter(std::string path) : path_(std::move(path)) {
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) io::cannot_write(path_, errno);
  const off_t end = lseek(descriptor_, 0, SEEK_END);
  if (end < 0) {
    const int error = errno;
    close_descriptor();
    io::cannot_write(path_, error);
  }
  done_.path = path_;
  done_.part.at = static_cast<std::uint64_t>(end);
}

PartWriter::~PartWriter() { close_descriptor(); }

void PartWriter::close_descriptor() {
  if (const int descriptor = std::exchange(descriptor_, -1); descriptor >= 0) ::close(descriptor);
}

/// Three lengths, the labels, the image, its mask.
void PartWriter::put(const PackedShot& shot) {
  const std::vector<std::uint8_t> labels = json::to_cbor(json_of(shot.labels));
  const std::array<std::uint64_t, 3> lengths{labels.size(), shot.image.size(), shot.mask.size()};
  const std::array<std::span<const std::byte>, 4> pieces{
      std::as_bytes(std::span(lengths)), std::as_bytes(std::span(labels)), shot.image, shot.mask};
  for (const std::span<const std::byte> bytes : pieces) {
    sum_.add(bytes);
    io::write_bytes(descriptor_, path_, bytes);
    done_.part.bytes += bytes.size();
  }
}

io::DoneFile PartWriter::close() {
  // Network file systems report a full disk here.
  if (::close(std::exchange(descriptor_, -1)) != 0) io::cannot_write(path_, errno);
  done_.sha256 = sum_.text();
  return done_;
}

namespace {

InputError changed(const std::string& path) { return {path, 0, "changed after it was written"}; }

/// A part, from its first shot to its last.
class PartReader {
 public:
  PartReader(const io::DoneFile& part, const std::string& path)
      : path_(path), file_(path, std::ios::binary), left_(part.part.bytes) {
    file_.seekg(static_cast<std::streamoff>(part.part.at));
  }

  bool more() const { return left_ > 0; }
  /// Of the next shot, up to its image.
  ShotLabels labels() {
    read(std::as_writable_bytes(std::span(lengths_)));
    // Of a part that changed they may be any numbers.
    for (const std::uint64_t length : lengths_)
      if (length > left_) throw changed(path_);
    std::vector<std::uint8_t> labels(lengths_[0]);
    read(std::as_writable_bytes(std::span(labels)));
    return labels_of(json::from_cbor(labels));
  }
  io::PackedSizes packed() const { return {lengths_[1], lengths_[2]}; }
  void read(std::span<std::byte> to) {
    take(to.size());
    if (!file_.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size())))
      throw changed(path_);
  }
  void pass_over(std::size_t bytes) {
    take(bytes);
    file_.seekg(static_cast<std::streamoff>(bytes), std::ios::cur);
  }

 private:
  void take(std::size_t bytes) {
    if (bytes > left_) throw changed(path_);
    left_ -= bytes;
  }

  std::string path_;
  std::ifstream file_;
  std::uint64_t left_;
  std::array<std::uint64_t, 3> lengths_{};
};

}  // namespace

std::vector<ShotSize> sizes_of_part(const io::DoneFile& part, const std::string& path) {
  std::vector<ShotSize> sizes;
  try {
    for (PartReader reader(part, path); reader.more();) {
      const ShotLabels labels = reader.labels();
      sizes.push_back({reader.packed(), labels.reflections.size()});
      reader.pass_over(reader.packed().image + reader.packed().mask);
    }
  } catch (const json::exception&) {
    throw changed(path);
  }
  return sizes;
}

void read_part(const io::DoneFile& part, const std::string& path,
               const std::function<void(PackedShot)>& take) {
  if (io::sha256_of(path, part.part) != part.sha256) throw changed(path);
  for (PartReader reader(part, path); reader.more();) {
    PackedShot shot;
    shot.labels = reader.labels();
    shot.image.resize(reader.packed().image);
    shot.mask.resize(reader.packed().mask);
    reader.read(shot.image);
    reader.read(shot.mask);
    take(std::move(shot));
  }
}

}  // namespace nablabragg::ensemble

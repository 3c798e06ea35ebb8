// A folder for the files of one test; it goes when the test ends.
#pragma once
#include <cstdlib>  // for mkdtemp
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace nablabragg::test {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "nablabragg-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("cannot make the folder " + name);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  /// Makes a file of these bytes and returns its path.
  std::string file(const std::string& name, const std::string& bytes) const {
    const std::string path = *this / name;
    std::ofstream out(path, std::ios::binary);
    out << bytes;
    if (!out.flush()) throw std::runtime_error("cannot write " + path);
    return path;
  }

  std::string content(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + *this / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  /// Names of all that lies in the folder, hidden files too, in no order.
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      result.push_back(entry.path().filename().string());
    return result;
  }

  /// Removes all that lies in it.
  void clear() const {
    for (const std::string& name : names()) std::filesystem::remove_all(path_ / name);
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace nablabragg::test

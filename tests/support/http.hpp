// HTTP as its bytes: what no browser would send, too.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

namespace nablabragg::test {

struct HttpReply {
  int status = 0;
  std::string head, body;

  /// Of a line of the head; empty: there is none.
  std::string header(const std::string& name) const {
    const std::size_t line = head.find("\r\n" + name + ": ");
    if (line == std::string::npos) return {};
    const std::size_t begin = line + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

/// A connection to a port of this machine.
class Connection {
 public:
  explicit Connection(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      close();
      throw std::runtime_error("nobody listens at port " + std::to_string(port));
    }
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(); }

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void send(const std::string& text) const {
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t n = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the connection was closed");
      sent += static_cast<std::size_t>(n);
    }
  }
  /// Some bytes; none at the end.
  std::string receive() const {
    std::array<char, 65536> some{};
    const ssize_t n = recv(socket_, some.data(), some.size(), 0);
    return n > 0 ? std::string(some.data(), static_cast<std::size_t>(n)) : std::string();
  }
  /// All that comes until the other side closes.
  HttpReply reply() const {
    std::string all;
    for (std::string some = receive(); !some.empty(); some = receive()) all += some;
    const std::size_t end = all.find("\r\n\r\n");
    if (!all.starts_with("HTTP/1.1 ") || end == std::string::npos)
      throw std::runtime_error("this is no answer: " + all.substr(0, 100));
    return {std::atoi(all.c_str() + 9), all.substr(0, end + 2), all.substr(end + 4)};
  }

 private:
  int socket_;
};

/// The answer to a request of these lines.
inline HttpReply http(int port, const std::string& first_line, const std::string& headers,
                      const std::string& body = {}) {
  const Connection connection(port);
  connection.send(first_line + " HTTP/1.1\r\n" + headers + "Connection: close\r\n" +
                  (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") +
                  "\r\n" + body);
  return connection.reply();
}

}  // namespace nablabragg::test

// HTTP for the pages of one person: on this machine, behind a token in the address.
//
// What is served is a table of names; no name of a request reaches the file system.  Requests are
// refused that do not have the token, that name another host than a number or localhost (which a
// page from elsewhere may have had this machine's address put behind), or that come from a page of
// another origin.  Whoever looks on has a tab: a stream of events that stays open, so that what is
// computed for a tab can end with it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nablabragg::view {

struct Page {
  std::string type;  ///< of the content: "text/css"
  std::string_view content;
};

struct Reply {
  int status = 200;
  std::string type = "application/json";
  std::string content;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// What a tab asks for.
struct Question {
  std::string tab;   ///< its name
  std::string body;  ///< of the request
};

/// `answers` are called by many threads, for one tab, too.
struct Pages {
  std::map<std::string, Page, std::less<>> pages;  ///< by their names; "" is the first
  std::map<std::string, std::function<Reply(const Question&)>, std::less<>> answers;
  std::function<void(const std::string&tab)> opened, closed;
};

/// 32 hexadecimal digits, at random.
std::string random_token();

class Server {
 public:
  /// Takes the port, 0: one that is free.  Throws UsageError where the address is none of this
  /// machine's or the port is taken.
  Server(Pages pages, std::string token, std::string listen, int port);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// "http://127.0.0.1:8642/TOKEN/"
  std::string address() const;
  /// Serves until stopped() says so, which is asked several times a second.
  void serve(const std::function<bool()>& stopped);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nablabragg::view

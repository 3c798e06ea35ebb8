#include "view/server.hpp"

#include <arpa/inet.h>  // for inet_pton
#include <httplib.h>
#include <sys/random.h>  // for getrandom
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "nablabragg/error.hpp"

namespace nablabragg::view {

namespace {

using std::chrono::milliseconds;

/// Longest question: an experiment's parameters, of many panels.
constexpr std::size_t most_bytes = 4 << 20;
/// Each tab holds a connection; browsers make six to a server, and questions need some, too.
constexpr int most_tabs = 4, threads = 32;
/// How soon it is seen that a tab was closed.
constexpr milliseconds beat{100};

/// In a time that does not tell how much of it is right.
bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    differences |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^
                                         static_cast<unsigned char>(b[i]));
  return differences == 0;
}

/// "127.0.0.1" of "127.0.0.1:8642", "::1" of "[::1]:8642".
std::string host_of(const std::string& with_port) {
  if (with_port.starts_with('[')) return with_port.substr(1, with_port.find(']') - 1);
  return with_port.substr(0, with_port.find(':'));
}

bool is_number_of_a_host(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool is_name_of_a_tab(const std::string& name) {
  return name.size() == 16 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void fill(httplib::Response& out, Reply reply) {
  out.status = reply.status;
  for (const auto& [name, value] : reply.headers) out.set_header(name.c_str(), value);
  out.set_content(std::move(reply.content), reply.type.c_str());
}

Reply refusal(int status, const std::string& sentence) {
  return {status, "application/json", nlohmann::json{{"error", sentence}}.dump()};
}

}  // namespace

std::string random_token() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Error("the system gave no random numbers for the token of the page's address");
  std::string token;
  for (const unsigned char byte : bytes)
    for (const int digit : {byte >> 4, byte & 15})
      token += "0123456789abcdef"[static_cast<std::size_t>(digit)];
  return token;
}

struct Server::State {
  Pages pages;
  std::string token, listen;
  httplib::Server http;
  int port = 0;
  std::atomic<bool> ending = false;
  std::mutex mutex;
  std::set<std::string> tabs;

  State(Pages p, std::string t, std::string l)
      : pages(std::move(p)), token(std::move(t)), listen(std::move(l)) {}

  bool is_open(const std::string& tab) {
    const std::scoped_lock lock(mutex);
    return tabs.contains(tab);
  }

  /// The sentence of a request that is not for us; empty: it is.
  std::string why_refused(const httplib::Request& request) const {
    const std::string with_port = request.get_header_value("Host"), host = host_of(with_port);
    if (host != "localhost" && host != listen && !is_number_of_a_host(host))
      return "this server answers to numbers of hosts and to localhost alone";
    if (request.get_header_value_count("Host") != 1) return "a request has one Host";
    if (request.has_header("Origin") && request.get_header_value("Origin") != "http://" + with_port)
      return "this server does not answer pages of other origins";
    return {};
  }

  /// What stands behind the token; nullopt: it is not the token.
  std::optional<std::string> name_of(const std::string& path) const {
    if (path.size() < token.size() + 2 || path[0] != '/' || path[token.size() + 1] != '/' ||
        !same_secret(std::string_view(path).substr(1, token.size()), token))
      return std::nullopt;
    return path.substr(token.size() + 2);
  }

  void answer(const httplib::Request& request, httplib::Response& out) {
    if (const std::string why = why_refused(request); !why.empty())
      return fill(out, refusal(403, why));
    const auto name = name_of(request.path);
    if (!name) return fill(out, refusal(404, "there is nothing here"));
    if (request.method == "POST") return answer_question(*name, request, out);
    if (*name == "tab") return keep_tab(request, out);
    const auto page = pages.pages.find(*name);
    if (page == pages.pages.end()) return fill(out, refusal(404, "there is nothing here"));
    fill(out, {200, page->second.type, std::string(page->second.content)});
  }

  void answer_question(const std::string& name, const httplib::Request& request,
                       httplib::Response& out) {
    const auto found = pages.answers.find(name);
    if (found == pages.answers.end()) return fill(out, refusal(404, "there is nothing here"));
    // A header that no page of another origin can set without asking
    const std::string tab = request.get_header_value("X-Tab");
    if (!is_open(tab)) return fill(out, refusal(409, "no tab of this name is open"));
    try {
      fill(out, found->second({tab, request.body}));
    } catch (const Cancelled&) {
      out.status = 204;  // nothing: the tab is closed, or has asked for something newer
    } catch (const Error& error) {
      fill(out, refusal(422, error.what()));
    } catch (const nlohmann::json::exception& error) {
      fill(out,
           refusal(400, std::string("the question is no JSON of the page's: ") + error.what()));
    } catch (const std::exception& error) {
      fill(out, refusal(500, error.what()));
    }
  }

  /// A stream that says that both sides are there.
  void keep_tab(const httplib::Request& request, httplib::Response& out) {
    const std::string tab = request.get_param_value("name");
    if (!is_name_of_a_tab(tab)) return fill(out, refusal(400, "this is no name of a tab"));
    {
      const std::scoped_lock lock(mutex);
      if (tabs.size() >= most_tabs)
        return fill(out, refusal(503, "this page is open in " + std::to_string(most_tabs) +
                                          " tabs, and there may be no more; close one"));
      if (!tabs.insert(tab).second) return fill(out, refusal(409, "a tab of this name is open"));
    }
    pages.opened(tab);
    out.set_chunked_content_provider(
        "text/event-stream",
        [this](std::size_t, httplib::DataSink& sink) {
          if (ending || !sink.is_writable()) return false;
          const std::string_view line = ": here\n\n";
          if (!sink.write(line.data(), line.size())) return false;
          std::this_thread::sleep_for(beat);
          return true;
        },
        [this, tab](bool) {
          {
            const std::scoped_lock lock(mutex);
            tabs.erase(tab);
          }
          pages.closed(tab);
        });
  }
};

Server::Server(Pages pages, std::string token, std::string listen, int port)
    : state_(std::make_unique<State>(std::move(pages), std::move(token), std::move(listen))) {
  State& s = *state_;
  httplib::Server& http = s.http;
  http.new_task_queue = [] { return new httplib::ThreadPool(threads); };
  // By itself it would let two servers share a port.
  http.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  http.set_tcp_nodelay(true);
  http.set_keep_alive_max_count(1'000'000'000);
  http.set_keep_alive_timeout(30);  // the end does not wait for it: io::watch_stop_signals()
  http.set_payload_max_length(most_bytes);
  // The token is in the address: no other page is told of it, and no cache keeps what is behind it.
  http.set_default_headers({
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cache-Control", "no-store"},
  });
  const auto answer = [&s](const httplib::Request& request, httplib::Response& out) {
    s.answer(request, out);
  };
  http.Get("/.*", answer);
  http.Post("/.*", answer);
  if (port == 0)
    s.port = http.bind_to_any_port(s.listen);
  else if (http.bind_to_port(s.listen, port))
    s.port = port;
  if (s.port <= 0)
    throw UsageError(port == 0 ? s.listen + " is no address of this machine"
                               : "nothing can be served at " + s.listen + " port " +
                                     std::to_string(port) +
                                     ": the port is taken, or the address is not this machine's");
}

Server::~Server() = default;

std::string Server::address() const {
  const std::string& host = state_->listen;
  return "http://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" +
         std::to_string(state_->port) + "/" + state_->token + "/";
}

void Server::serve(const std::function<bool()>& stopped) {
  State& s = *state_;
  std::thread listening([&s] { s.http.listen_after_bind(); });
  while (!stopped()) std::this_thread::sleep_for(milliseconds(50));
  while (!s.http.is_running()) std::this_thread::sleep_for(milliseconds(1));
  s.ending = true;
  s.http.stop();
  listening.join();
}

}  // namespace nablabragg::view

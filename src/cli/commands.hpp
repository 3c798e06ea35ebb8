// The program: `run` is main() with its streams as arguments.
#pragma once
#include <ostream>
#include <string>
#include <vector>

namespace nablabragg::cli {

/// Exit codes: 0 done, 1 internal error, 2 usage, 3 input file, 4 output file, 128 and its
/// number for a signal (130 for Ctrl-C).
int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

/// `nablabragg [flags]`
void simulate_command(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err);

/// `nablabragg fcalc MODEL -dmin d -o FILE`
void fcalc_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

/// `nablabragg detectors [NAME] [--picture FILE]`: the detectors that have names.
void detectors_command(const std::vector<std::string>& arguments, std::ostream& out,
                       std::ostream& err);

/// `nablabragg show FILE [-o FILE.png]`: an image in the terminal, or as a picture.
void show_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

/// The text of docs/detectors.md.
void write_detectors_page(std::ostream& out);

/// `nablabragg docs flags | differences | checks | detectors`: the text of docs/flags.md and so on.
void docs_command(const std::vector<std::string>& arguments, std::ostream& out);

/// `nablabragg compare --reference PROGRAM -- ARGS`.  Reports its own errors and has exit codes of
/// its own (docs/instruments.md).
int compare_command(const std::vector<std::string>& arguments, std::ostream& out,
                    std::ostream& err);

/// `nablabragg bench`: 0, or 1 where parity was required and is not there.
int bench_command(const std::vector<std::string>& arguments, std::ostream& out);

/// `nablabragg refine --image FILE --parameters LIST -- FLAGS`: 0, or 130 when it was interrupted.
int refine_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

/// `nablabragg ensemble DESCRIPTION`
void ensemble_command(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err);

/// `nablabragg view [FILE] FLAGS`: serves a page until it is stopped.
void view_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

inline constexpr const char*
    first_image = "nablabragg -cell 100 100 100 90 90 90 -default_F 100 -N 5 -pngfile image.png";

void print_help(std::ostream& out);
void print_short_help(std::ostream& out);

/// `nablabragg help [FLAG...]`
void help_command(const std::vector<std::string>& arguments, std::ostream& out);

}  // namespace nablabragg::cli

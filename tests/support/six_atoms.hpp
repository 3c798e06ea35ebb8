// The model of the worked numbers of anomalous scattering.
#pragma once

namespace nablabragg::test {

/// Two atoms of iron with B 15 and 20, S, O, N and C, in a cell of 20 x 24 x 30 A.
inline constexpr const char* six_atoms =
    "CRYST1   20.000   24.000   30.000  90.00  90.00  90.00 P 1           1\n"
    "HETATM    1 FE   FE  A   1       2.000   4.800   9.000  1.00 15.00          FE\n"
    "HETATM    2 FE   FE  A   2      12.000   8.400  13.500  1.00 20.00          FE\n"
    "HETATM    3  S   SUL A   3       3.000   6.720   9.900  1.00 18.00           S\n"
    "HETATM    4  O   OXY A   4       8.000  16.800   3.000  1.00 25.00           O\n"
    "HETATM    5  N   NIT A   5      15.400   2.880  17.400  1.00 22.00           N\n"
    "HETATM    6  C   CAR A   6       6.200  12.480  25.200  1.00 20.00           C\n"
    "END\n";

}  // namespace nablabragg::test

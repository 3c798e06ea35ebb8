# The compiler writes, next to each object of the folder that includes this, what it vectorised.
if(NABLA_VECTORIZATION_RECORDS)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # A file for each object, which an option of a target could not name.
    set(CMAKE_CXX_COMPILE_OBJECT "<CMAKE_CXX_COMPILER> <DEFINES> <INCLUDES> <FLAGS> \
-fopt-info-vec-optimized-missed=<OBJECT>.vec -o <OBJECT> -c <SOURCE>")
    # g++ appends to it, so that what it said of an older source would stay.
    set_property(DIRECTORY PROPERTY RULE_LAUNCH_COMPILE "${CMAKE_COMMAND} -E rm -f <OBJECT>.vec &&")
  else()
    add_compile_options(-fsave-optimization-record -foptimization-record-passes=loop-vectorize)
  endif()
endif()

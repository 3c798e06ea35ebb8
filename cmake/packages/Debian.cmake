# A Debian package of each part, by CPack: it needs nothing but CMake and dpkg-dev, and packs the files that were
# built and tested.  Which libraries each depends on, dpkg-shlibdeps finds.
set(NABLA_PACKAGER "the nablaBragg authors <nablabragg@example.org>" CACHE STRING
  "Who makes the packages: a name and an address")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME nablabragg)
set(CPACK_PACKAGE_CONTACT "${NABLA_PACKAGER}")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL ${parts})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# debian_package(PART NAME SECTION SUMMARY TEXT)
function(debian_package part name section summary text)
  string(TOUPPER ${part} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  # Debian's policy: a licence and a changelog in a folder of each package
  set(folder ${PROJECT_BINARY_DIR}/packages/${name})
  file(MAKE_DIRECTORY ${folder})
  string(TIMESTAMP CHANGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
  set(PACKAGE ${name})
  configure_file(cmake/packages/changelog.in ${folder}/changelog.Debian @ONLY)
  execute_process(COMMAND gzip -9nf changelog.Debian WORKING_DIRECTORY ${folder} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md OUTPUT_FILE ${folder}/changelog.gz
    COMMAND_ERROR_IS_FATAL ANY)
  install(FILES cmake/packages/copyright ${folder}/changelog.Debian.gz ${folder}/changelog.gz
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} COMPONENT ${part} EXCLUDE_FROM_ALL)
endfunction()

debian_package(program nablabragg science "X-ray diffraction images of small crystals"
"nablaBragg computes, pixel by pixel and on the absolute scale, the X-ray
diffraction image of a small crystal in a beam. It takes the command lines of
nanoBragg unchanged and writes the same files, starts from an atomic model, an
MTZ file or a list of structure factors, explains every pixel it makes, and
refines a crystal against a measured image.")
if("python" IN_LIST parts)
  debian_package(python python3-nablabragg python "X-ray diffraction images of small crystals, from Python"
"Experiments, images as numpy arrays, exact derivatives of any function of an
image with respect to everything that made it, refinement, and images and their
geometry in the formats of beamlines.")
  execute_process(COMMAND ${Python_EXECUTABLE} -c
    "import sys; major, minor = sys.version_info[:2]; print(f'python3 (>= {major}.{minor}~), python3 (<< {major}.{minor + 1})')"
    OUTPUT_VARIABLE python_depends OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "${python_depends}, python3-numpy")
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS python3-torch)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/cmake/packages/postinst ${PROJECT_SOURCE_DIR}/cmake/packages/prerm)
endif()
if("inventory" IN_LIST parts)
  debian_package(inventory nablabragg-inventory devel "which loops of C++ code became vector instructions"
"Lists the loops of a C++ code base, whether the compiler vectorised each, why
not, what a profile says that it costs, and what to do about it.")
  set(CPACK_DEBIAN_INVENTORY_PACKAGE_RECOMMENDS "binutils, g++ | clang")
endif()
if("cuda" IN_LIST parts)
  debian_package(cuda nablabragg-cuda science "nablaBragg on NVIDIA cards"
"The plugin that -device cuda of nablabragg opens.")
  set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS nablabragg)
endif()
if("mpi" IN_LIST parts)
  debian_package(mpi nablabragg-mpi science "nablaBragg's ensembles on several nodes"
"The plugin that nablabragg ensemble opens under mpirun and srun.")
  set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS nablabragg)
endif()
include(CPack)

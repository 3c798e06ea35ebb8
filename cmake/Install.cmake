# What is installed where, in parts: program, python, inventory, and one for each plugin.  `cmake --install`
# takes the program and the plugins; ./dev package makes a Debian package of each part.
include(GNUInstallDirs)
set(program_doc ${CMAKE_INSTALL_DATADIR}/doc/nablabragg)
set(parts program)

install(TARGETS nablabragg RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES README.md DESTINATION ${program_doc} COMPONENT program)
install(DIRECTORY docs DESTINATION ${program_doc} COMPONENT program)
install(DIRECTORY examples DESTINATION ${program_doc} COMPONENT program USE_SOURCE_PERMISSIONS
  PATTERN __pycache__ EXCLUDE PATTERN .gitignore EXCLUDE)
# Man pages and completion, from the program's own tables.
install(CODE "
  set(pages \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}\")
  execute_process(COMMAND \"$<TARGET_FILE:nablabragg>\" docs pages \"\${pages}\" OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB manuals \"\${pages}/man/man1/nablabragg*.1\")
  execute_process(COMMAND gzip -9nf \${manuals} COMMAND_ERROR_IS_FATAL ANY)" COMPONENT program)

# Found at run time in lib/nablabragg beside the program's bin, or refused with a sentence.
foreach(plugin cuda mpi)
  if(TARGET nablabragg_${plugin})
    install(TARGETS nablabragg_${plugin} LIBRARY DESTINATION lib/nablabragg COMPONENT ${plugin} OPTIONAL)
    list(APPEND parts ${plugin})
  endif()
endforeach()

if(TARGET nablabragg_python)
  set(NABLA_PYTHON_FOLDER lib/python3/dist-packages CACHE STRING "Where the part python goes, below the prefix")
  install(TARGETS nablabragg_python LIBRARY DESTINATION ${NABLA_PYTHON_FOLDER}/nablabragg
    COMPONENT python EXCLUDE_FROM_ALL)
  install(DIRECTORY python/nablabragg DESTINATION ${NABLA_PYTHON_FOLDER} COMPONENT python EXCLUDE_FROM_ALL
    PATTERN __pycache__ EXCLUDE)
  configure_file(cmake/packages/METADATA.in packages/METADATA @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/packages/METADATA COMPONENT python EXCLUDE_FROM_ALL
    DESTINATION ${NABLA_PYTHON_FOLDER}/nablabragg-${PROJECT_VERSION}.dist-info)
  list(APPEND parts python)
endif()

if(TARGET nablabragg-inventory)
  install(TARGETS nablabragg-inventory RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT inventory EXCLUDE_FROM_ALL)
  install(CODE "
    set(manuals \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1\")
    file(MAKE_DIRECTORY \"\${manuals}\")
    foreach(command \"\" correlate)
      string(REGEX REPLACE \"(.+)\" \"-\\\\1\" suffix \"\${command}\")
      set(page \"\${manuals}/nablabragg-inventory\${suffix}.1\")
      execute_process(COMMAND \"$<TARGET_FILE:nablabragg-inventory>\" \${command} --man OUTPUT_FILE \"\${page}\"
        COMMAND_ERROR_IS_FATAL ANY)
      execute_process(COMMAND gzip -9nf \"\${page}\" COMMAND_ERROR_IS_FATAL ANY)
    endforeach()" COMPONENT inventory EXCLUDE_FROM_ALL)
  list(APPEND parts inventory)
endif()

include(cmake/packages/Debian.cmake)

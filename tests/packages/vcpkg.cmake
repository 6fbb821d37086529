# Runs a portfile, PORT, into CURRENT_PACKAGES_DIR, with functions of our own in the place
# of vcpkg's, and with the compiler and libev of the system.
cmake_minimum_required(VERSION 3.18)

function(vcpkg_cmake_get_vars variable)
  file(WRITE "${CURRENT_PACKAGES_DIR}/variables.cmake" "")
  set(${variable} "${CURRENT_PACKAGES_DIR}/variables.cmake" PARENT_SCOPE)
endfunction()

function(vcpkg_execute_required_process)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "WORKING_DIRECTORY;LOGNAME" "COMMAND")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_COMMAND OR NOT arg_LOGNAME)
    message(FATAL_ERROR "vcpkg_execute_required_process: ${ARGV}")
  endif()
  execute_process(COMMAND ${arg_COMMAND} --no-print-directory
    WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}" OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  set_property(GLOBAL PROPERTY built TRUE)
endfunction()

function(vcpkg_fixup_pkgconfig)
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "COMMENT" "FILE_LIST")
  if(arg_UNPARSED_ARGUMENTS OR NOT EXISTS "${arg_FILE_LIST}")
    message(FATAL_ERROR "vcpkg_install_copyright: ${ARGV}")
  endif()
  set_property(GLOBAL PROPERTY licensed TRUE)
endfunction()

get_filename_component(CURRENT_PORT_DIR "${PORT}" DIRECTORY)
set(CURRENT_BUILDTREES_DIR "${CURRENT_PACKAGES_DIR}/buildtrees")
set(CURRENT_INSTALLED_DIR "${CURRENT_PACKAGES_DIR}/installed")
set(TARGET_TRIPLET x64-linux)
set(VCPKG_LIBRARY_LINKAGE static)
set(VCPKG_DETECTED_CMAKE_C_COMPILER cc)
set(VCPKG_DETECTED_CMAKE_CXX_COMPILER c++)
include("${PORT}")

foreach(done built licensed)
  get_property(was GLOBAL PROPERTY ${done})
  if(NOT was)
    message(FATAL_ERROR "the port is not ${done}")
  endif()
endforeach()

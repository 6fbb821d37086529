# The port of libgipc, of the sources around it:
#   vcpkg install libgipc --overlay-ports=CLONE/pkgconfig/vcpkg
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)

set(VCPKG_BUILD_TYPE release)
set(VCPKG_POLICY_MISMATCHED_NUMBER_OF_BINARIES enabled)
vcpkg_cmake_get_vars(variables)
include("${variables}")
find_program(MAKE NAMES gmake make REQUIRED)

# libev has no pkg-config file: it is where its port has put it.
set(installed "${CURRENT_INSTALLED_DIR}")
vcpkg_execute_required_process(
  COMMAND "${MAKE}" install
    "B=${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}-rel"
    "CC=${VCPKG_DETECTED_CMAKE_C_COMPILER}" "CXX=${VCPKG_DETECTED_CMAKE_CXX_COMPILER}"
    "CXXFLAGS=${VCPKG_COMBINED_CXX_FLAGS_RELEASE}"
    "CPPFLAGS=-I${installed}/include -I${installed}/include/libev"
    "LDFLAGS=${VCPKG_COMBINED_SHARED_LINKER_FLAGS_RELEASE} -L${installed}/lib"
    "prefix=${CURRENT_PACKAGES_DIR}"
    "cmakedir=${CURRENT_PACKAGES_DIR}/share/gipc"
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "install-${TARGET_TRIPLET}-rel")

if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  file(GLOB unwanted "${CURRENT_PACKAGES_DIR}/lib/libgipc.so*")
else()
  set(unwanted "${CURRENT_PACKAGES_DIR}/lib/libgipc.a")
endif()
if(unwanted)
  file(REMOVE ${unwanted})
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/man")
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")

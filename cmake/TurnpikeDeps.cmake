# What Turnpike stands on. All of it comes from the distribution; nothing is vendored.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET libssl>=3.0)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(CURL IMPORTED_TARGET libcurl>=7.80)
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)

# llhttp: the system's library where there is one, else the C sources of package node-llhttp.
pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
if(LLHTTP_FOUND)
  add_library(tp_llhttp ALIAS PkgConfig::LLHTTP)
else()
  find_path(LLHTTP_SRC llhttp.c HINTS /usr/share/llhttp REQUIRED)
  find_path(LLHTTP_INC llhttp.h HINTS /usr/include /usr/share/include/llhttp REQUIRED)
  add_library(tp_llhttp STATIC ${LLHTTP_SRC}/llhttp.c ${LLHTTP_SRC}/http.c ${LLHTTP_SRC}/api.c)
  target_include_directories(tp_llhttp SYSTEM PUBLIC ${LLHTTP_INC})
  target_compile_options(tp_llhttp PRIVATE -w)
  # Without it a CR and any byte ends a chunk's size line. Releases from 9 on know no other mode.
  target_compile_definitions(tp_llhttp PRIVATE LLHTTP_STRICT_MODE=1)
endif()

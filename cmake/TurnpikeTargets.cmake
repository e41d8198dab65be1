# tp_room(NAME [DEPS room...] [LIBS lib...]): core/NAME/*.c as static library room_NAME. A room
# without sources yet is an interface library.
function(tp_room name)
  cmake_parse_arguments(A "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB src CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/core/${name}/*.c")
  list(FILTER src EXCLUDE REGEX "_module\\.c$") # built as modules of their own
  list(TRANSFORM A_DEPS PREPEND room_)
  if(src)
    add_library(room_${name} STATIC ${src})
    target_include_directories(room_${name} PUBLIC "${CMAKE_SOURCE_DIR}/core")
    target_link_libraries(room_${name} PUBLIC ${A_DEPS} ${A_LIBS} tp_sdk)
  else()
    add_library(room_${name} INTERFACE)
    target_include_directories(room_${name} INTERFACE "${CMAKE_SOURCE_DIR}/core")
    target_link_libraries(room_${name} INTERFACE ${A_DEPS} ${A_LIBS} tp_sdk)
  endif()
endfunction()

# tp_plugin(NAME SRC...): one plugin .so; only the SDK, one exported symbol, nothing undefined but
# libc. Lands in <build>/plugins/NAME.so.
function(tp_plugin name)
  add_library(plugin_${name} MODULE ${ARGN})
  set_target_properties(plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
  target_link_libraries(plugin_${name} PRIVATE tp_sdk)
  if(NOT TURNPIKE_SANITIZE)
    target_link_options(plugin_${name} PRIVATE -Wl,-z,defs)
  endif()
  set_property(GLOBAL APPEND PROPERTY TP_PLUGINS plugin_${name})
endfunction()

# tp_unit_test(NAME SRC ROOMS...): a cmocka test of the rooms named.
function(tp_unit_test name src)
  add_executable(${name} ${src})
  target_link_libraries(${name} PRIVATE ${ARGN} PkgConfig::CMOCKA)
  target_compile_definitions(${name} PRIVATE TEST_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TEST_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# tp_fuzz_target(NAME SRC ROOMS...): with TURNPIKE_FUZZ a libFuzzer binary; always a replay of the
# committed corpus tests/fuzz/corpus/NAME as a test.
function(tp_fuzz_target name src)
  add_executable(fuzz_${name}_replay ${src} "${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.c")
  target_link_libraries(fuzz_${name}_replay PRIVATE ${ARGN})
  add_test(NAME fuzz_${name}_replay COMMAND fuzz_${name}_replay "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  set_tests_properties(fuzz_${name}_replay PROPERTIES LABELS fuzz TIMEOUT 120)
  if(TURNPIKE_FUZZ)
    add_executable(fuzz_${name} ${src})
    target_link_libraries(fuzz_${name} PRIVATE ${ARGN})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()

# The macros an extension of scripted modules calls, with Slicer's keywords and refusals.

option(BUILD_TESTING "As in Slicer, on unless asked otherwise" ON)
enable_testing()
if(POLICY CMP0177) # normalises the destination of an install; Slicer's begins with ./
  cmake_policy(SET CMP0177 NEW)
endif()

# Every file listed must exist and be listed once. Sub-folders are kept, below the one folder that all modules of an extension share.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_SLICER_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicerMacroBuildScriptedModule(): \"${MY_SLICER_UNPARSED_ARGUMENTS}\"")
  endif()
  if(NOT DEFINED MY_SLICER_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  foreach(kind SCRIPTS RESOURCES)
    foreach(file ${MY_SLICER_${kind}})
      if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
        message(FATAL_ERROR "slicerMacroBuildScriptedModule(${kind}) given nonexistent file '${file}'")
      endif()
      get_property(listed GLOBAL PROPERTY STAND_IN_LISTED)
      if("${CMAKE_CURRENT_SOURCE_DIR}/${file}" IN_LIST listed)
        message(FATAL_ERROR "Attempt to add a custom rule to output '${file}', which already has one: it is listed twice")
      endif()
      set_property(GLOBAL APPEND PROPERTY STAND_IN_LISTED "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      configure_file("${file}" "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${file}" COPYONLY)
    endforeach()
  endforeach()
  install(DIRECTORY "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/"
    DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}" COMPONENT RuntimeLibraries USE_SOURCE_PERMISSIONS)
endmacro()

# Slicer adds a test that starts the application; here the script must exist.
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest given nonexistent script '${MY_SCRIPT}'")
  endif()
endmacro()

# Slicer writes <Extension>Config.cmake here, for extensions that build on this one; scripted modules leave it nothing to do.

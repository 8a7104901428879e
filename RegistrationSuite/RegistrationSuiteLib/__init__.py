"""The Slicer side shared by every module: MRML both ways, display, panel, job runner."""

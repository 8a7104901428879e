"""Files and the suite's types, both ways, through SimpleITK, tifffile (whole-slide pictures, atlases) and
pydicom (sets of single slices).

Inside the suite everything is RAS mm; files hold LPS, as ITK writes and reads them. This is the only place where LPS
appears. NIfTI keeps positions in 32-bit numbers (about 1e-5 mm at 100 mm from the origin); NRRD, MHA and HDF5 keep
all 64 bits. Nothing is half-written: a file appears whole, or not at all.
"""

from regsuite.io.anchoring import AnchoredSection, AnchoredSeries, anchoring_of, matrix_of, resolution_of
from regsuite.io.atlases import read_atlas
from regsuite.io.images import check_image_file, read_image, read_labels, write_image, write_labels
from regsuite.io.points import read_points, write_points
from regsuite.io.pyramids import write_labels_tiff
from regsuite.io.sections import (
    SectionFile,
    find_sections,
    open_section,
    read_section,
    read_sections,
    section_grid,
    section_name,
    section_numbers,
    sections_in,
)
from regsuite.io.series import read_series, write_series
from regsuite.io.slice_labels import read_slice_labels, stacked_labels
from regsuite.io.slice_sets import read_slice_set
from regsuite.io.slice_stacks import read_slices, slice_set_of
from regsuite.io.surfaces import read_surface, read_surfaces, write_surface
from regsuite.io.transforms import read_transform, write_transform

__all__ = [
    "AnchoredSection",
    "AnchoredSeries",
    "SectionFile",
    "anchoring_of",
    "check_image_file",
    "find_sections",
    "matrix_of",
    "open_section",
    "read_atlas",
    "read_image",
    "read_labels",
    "read_points",
    "read_section",
    "read_sections",
    "read_series",
    "read_slice_labels",
    "read_slice_set",
    "read_slices",
    "read_surface",
    "read_surfaces",
    "read_transform",
    "resolution_of",
    "section_grid",
    "section_name",
    "section_numbers",
    "sections_in",
    "slice_set_of",
    "stacked_labels",
    "write_image",
    "write_labels",
    "write_labels_tiff",
    "write_points",
    "write_series",
    "write_surface",
    "write_transform",
]

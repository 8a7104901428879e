"""Files and the suite's types, both ways, through SimpleITK.

Inside the suite everything is RAS mm; files hold LPS, as ITK writes and reads them. This is the only place where LPS
appears. NIfTI keeps positions in 32-bit numbers (about 1e-5 mm at 100 mm from the origin); NRRD, MHA and HDF5 keep
all 64 bits. Nothing is half-written: a file appears whole, or not at all.
"""

from regsuite.io.images import read_image, read_labels, write_image, write_labels
from regsuite.io.points import read_points, write_points
from regsuite.io.surfaces import read_surface, read_surfaces, write_surface
from regsuite.io.transforms import read_transform, write_transform

__all__ = [
    "read_image",
    "read_labels",
    "read_points",
    "read_surface",
    "read_surfaces",
    "read_transform",
    "write_image",
    "write_labels",
    "write_points",
    "write_surface",
    "write_transform",
]

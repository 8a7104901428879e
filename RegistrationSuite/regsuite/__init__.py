"""Registration of images, slices, organs and point clouds: tensors with geometry in, tensors with geometry out."""

__version__ = "0.1.0"

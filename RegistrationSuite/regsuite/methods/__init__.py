"""Published methods, one file each, composed of the lower rooms."""

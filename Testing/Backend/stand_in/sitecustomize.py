"""Python imports this at start where its folder is on PYTHONPATH: new processes then know the stand-in method."""

import stand_in_method

stand_in_method.register()

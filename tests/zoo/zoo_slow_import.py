"""A plugin that takes for ever to import, in the child that describes it, where a test wants that."""

import os
import time

if "ZOO_SLOW" in os.environ:
    time.sleep(3600)

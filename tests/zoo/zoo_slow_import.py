"""A plugin that takes for ever to import, in the child that describes it."""

import time

time.sleep(3600)

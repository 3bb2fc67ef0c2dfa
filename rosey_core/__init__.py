"""rosey: a daemon that owns CyTube channels and a NATS bus, and hosts plugins.

A plugin imports `rosey_core.api` and nothing else of this package.
"""

__version__ = "0.1.0"

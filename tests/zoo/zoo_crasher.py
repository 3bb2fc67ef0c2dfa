"""A plugin that ends its process while it is imported."""

import os

print("noise on standard output")  # noqa: T201  what such plugins do
os._exit(3)

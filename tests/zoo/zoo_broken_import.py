"""A plugin whose dependency is not installed."""

import no_such_package_at_all  # noqa: F401  # type: ignore[import-not-found]

"""The durable store behind lanes: what happened, on disk, in order, until every durable plugin had it."""

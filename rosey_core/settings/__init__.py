"""From rosey.toml, variables and flags to the Structs of `config`: reading, layering, checking, and the errors."""

"""What plugins keep in rosey: values under keys, in one SQLite file of the daemon's.

`storage` is what the rest of rosey talks to: it takes what plugins want done, and does what waits together. Below it,
`items` says what a key, a value and an operation may be, and `file` is SQLite, which is not imported before its use.
"""

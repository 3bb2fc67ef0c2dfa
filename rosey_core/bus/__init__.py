"""The bus: NATS behind one class, and the nats-server that the daemon runs itself.

`bus` is what the rest of rosey talks to. Below it, `link` is one connection, `client` makes nats-py safe to throw
away, and `outbox` holds what waits and knows what may be lost. Beside them, `broker` runs nats-server, `finding`
finds it, `access` says who may do what there, and `conf` tells it; `stream` has it keep what is published.
"""

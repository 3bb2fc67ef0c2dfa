"""What a channel looks like now: users, playlist, permissions and the rest, as a pure reducer over events.

Nothing in here talks to CyTube, waits, reads a clock or writes a log.
"""

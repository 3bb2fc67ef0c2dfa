"""CyTube: the wire and its words, from the socket's frames to typed events and back."""

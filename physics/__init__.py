"""What both sides must agree on: the Earth, frames, motion. Pure kernels; no I/O, no clock, no wire."""

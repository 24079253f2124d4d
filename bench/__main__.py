"""`python -m bench` is `triwarn`."""

from bench.cli import main

main()

"""`python -m bench` is `triwarn`."""

from bench.cli import main

if __name__ == "__main__":  # benchmarks spawn processes, which import this module again
    main()

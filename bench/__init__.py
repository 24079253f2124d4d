"""The test bench: runs whole exercises, scores them against truth, measures bus and fusion, and the command line."""

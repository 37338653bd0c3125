"""Attacks on mmreason, a module a kind: each repeats what hostile files, servers, clients and rows
do, in child processes with limits of their own. `benchmarks.attack` runs them."""

"""How each number is made; the benchmarks beside this folder say which."""

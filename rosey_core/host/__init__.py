"""What runs plugins: hooks, lanes, budgets, contexts, commands, and the register of them all."""

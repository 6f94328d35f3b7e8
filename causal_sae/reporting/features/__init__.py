"""Features for people: tables in the terminal, and cards as pages."""

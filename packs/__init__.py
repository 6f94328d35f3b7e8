"""Small SAEs and prompt sets that the project made itself, with the commands that made them."""

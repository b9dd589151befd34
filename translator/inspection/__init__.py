"""Looking at attention: maps as data, and as pictures."""

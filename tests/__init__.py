"""One file a module; `toy.py` holds the tiny corpus and models they share."""

"""The store of livermore on Redis: one for several programs, with its event stream."""

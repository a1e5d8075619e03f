"""An example plugin for livermore: copy it, rename it, and replace its exchange and its indicator by yours."""

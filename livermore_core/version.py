"""The one version number of livermore and its bundled plugins."""

__version__ = "0.1.0"

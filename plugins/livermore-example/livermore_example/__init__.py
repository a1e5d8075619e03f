"""The smallest complete livermore plugin: an exchange and an indicator, to be copied."""

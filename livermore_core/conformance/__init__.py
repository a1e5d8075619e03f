"""What a plugin promises, checked: by `livermore check`, and by the contract suites, with the same code."""

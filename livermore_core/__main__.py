"""`python -m livermore_core` is `livermore`."""

from livermore_core.cli import main

if __name__ == "__main__":
    main()

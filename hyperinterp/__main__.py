"""`python -m hyperinterp`: the command line, also under `torchrun -m hyperinterp`."""

from hyperinterp.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m gateway.cli`: the same as the script `gateway`, with this interpreter."""

from gateway.cli.root import main

if __name__ == "__main__":
    main()

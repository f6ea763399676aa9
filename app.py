"""Run the command line from a checkout, installed or not: ``python app.py COMMAND`` is ``mimo COMMAND``."""

from mimo.commands import main

if __name__ == "__main__":
    main()

"""python -m distill_train"""

from .cli import main

main()

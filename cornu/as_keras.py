"""`keras` means Cornu from here on, in this process and in those that it starts; the first import of all.

    import cornu.as_keras
    import keras

See `cornu.alias`; `python -m cornu script.py` does the same for a script as it is.
"""

from .alias import install as _install

_install()

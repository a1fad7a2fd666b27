"""`keras` means Cornu, where a process asks for that; without it `import keras` is Keras.

    import cornu.as_keras  # first of all, in a script, a notebook or a `conftest.py`
    import keras  # whatever imports it gets the same: KerasHub, KerasTuner, ...

`python -m cornu script.py` does the same for a script as it is, `python -m cornu -m pytest` for a module; so does
`cornu.alias.PATH` at the beginning of `PYTHONPATH`, which is where processes that are started find it.

>>> import subprocess, sys
>>> code = "import cornu.as_keras, keras; print(keras.__version__, keras.layers.Dense)"
>>> print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
3.15.1 <class 'cornu.layers._core.Dense'>
"""

from ._modules import PATH as PATH
from ._modules import VERSION as VERSION
from ._modules import install as install

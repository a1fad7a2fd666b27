"""`keras` means Cornu, in this process and in those that it starts.

    import cornu.as_keras  # first of all, in a script, a notebook or a `conftest.py`
    import keras  # what else imports it gets the same: KerasHub, KerasTuner, ...

`python -m cornu script.py` does the same for a script as it is. Without either, `import keras` is Keras.

>>> import subprocess, sys
>>> code = "import cornu.as_keras, keras; print(keras.__version__, keras.layers.Dense)"
>>> print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
3.15.1 <class 'cornu.layers._core.Dense'>
"""

from __future__ import annotations

from ._modules import PATH as PATH
from ._modules import VERSION as VERSION
from ._modules import install

install()

"""What Keras has for programs of before Keras 3: how objects were written then (`saving`)."""

from . import saving as saving

"""`import keraunos.as_keras`: from this line on, `import keras` gives keraunos."""

from keraunos.alias import install

install()

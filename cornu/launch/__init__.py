"""A script in several processes, on one machine or many: `python -m cornu launch`."""
